import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given

from minidistil.tokenization import DistilBertTokenizer, DistilBertTokenizerFast

from .samples import TINY_VOCAB
from .test_tokenizer import OURS, SENTENCE, THEIRS, plain

pytestmark = pytest.mark.filterwarnings("ignore:a row has")


@given(SENTENCE)
def test_decoding_and_encoding_again(words: list[str]) -> None:
    ids = OURS.encode(" ".join(words), add_special_tokens=False)
    text = OURS.decode(ids)
    assert OURS.encode(text, add_special_tokens=False) == ids
    assert text == THEIRS.decode(ids)
    assert OURS.decode(OURS.encode(text), skip_special_tokens=True) == THEIRS.decode(
        THEIRS.encode(text), skip_special_tokens=True
    )


@pytest.mark.parametrize("clean_up", [None, True, False])
@pytest.mark.parametrize("skip", [True, False])
def test_decode(skip: bool, clean_up: bool | None) -> None:
    vocab = {**TINY_VOCAB, "'": 15, "t": 16, ".": 17, "n't": 18}
    ours, theirs = DistilBertTokenizer(vocab), transformers.DistilBertTokenizer(vocab=vocab)
    ids = [1, 5, 15, 16, 18, 17, 10, 11, 12, 4, 2]
    keywords: dict[str, Any] = {"clean_up_tokenization_spaces": clean_up}
    forms = [ids, np.array(ids), torch.tensor(ids), [ids, ids], torch.tensor([ids]), 5, []]
    forms += [[*np.array(ids)], [*torch.tensor(ids)], [*np.array([ids, ids])], range(5, 8)]
    forms += [(5, np.int64(6)), np.int64(5), torch.tensor(5), [torch.tensor(ids)]]
    for form in forms:
        assert ours.decode(form, skip, **keywords) == theirs.decode(form, skip, **keywords)
    assert ours.batch_decode([ids], skip) == theirs.batch_decode([ids], skip)


def test_batches_of_rows_of_scalars() -> None:
    """transformers takes such a batch for one row; a batch it is."""
    rows = [[np.int64(5)], [torch.tensor(6), 13]]
    assert OURS.decode(rows) == OURS.batch_decode(rows) == ["want", "##want low"]
    assert OURS.convert_ids_to_tokens(np.int64(5)) == "want"
    assert OURS.convert_ids_to_tokens(torch.tensor(5)) == "want"


@pytest.mark.parametrize("bad", [5.0, [5.0], np.array([5.0]), "5", ["5"], None, [None]], ids=repr)
def test_what_is_no_id(bad: Any) -> None:
    with pytest.raises(TypeError, match="(5.0|'5'|None) is neither an id nor a list of ids"):
        OURS.decode(bad)


@pytest.mark.parametrize("bad", [-100, 15])
def test_ids_without_a_token(bad: int) -> None:
    with pytest.raises(ValueError, match=f"the id {bad} stands for none of the 15 tokens"):
        OURS.decode([5, bad])
    with pytest.raises(ValueError, match=f"the id {bad} "):
        OURS.convert_ids_to_tokens([bad])


def test_looking_up() -> None:
    assert OURS.convert_tokens_to_ids(["want", "nothing"]) == [5, 0]
    assert OURS.convert_tokens_to_ids("low") == 13
    assert OURS.convert_ids_to_tokens(13) == "low"
    assert OURS.convert_ids_to_tokens([1, 13, 2], skip_special_tokens=True) == ["low"]
    assert OURS.get_vocab() == TINY_VOCAB
    assert len(OURS) == OURS.vocab_size == 15
    assert OURS.all_special_ids == THEIRS.all_special_ids
    assert [OURS.num_special_tokens_to_add(pair) for pair in (False, True)] == [2, 3]
    assert DistilBertTokenizerFast is DistilBertTokenizer


def test_added_tokens() -> None:
    ours, theirs = copy.deepcopy(OURS), copy.deepcopy(THEIRS)
    for tokenizer in (ours, theirs):
        assert tokenizer.add_tokens(["Newword", "low"]) == 2
        assert tokenizer.add_special_tokens({"additional_special_tokens": ["<e>"]}) == 1
    text = "want newword<e>low<E>"
    assert plain(ours(text)) == plain(theirs(text))
    assert (len(ours), ours.vocab_size) == (len(theirs), theirs.vocab_size) == (17, 15)
    assert ours.all_special_tokens == theirs.all_special_tokens
    assert ours.decode(ours.encode(text), True) == theirs.decode(theirs.encode(text), True)
    assert len(OURS) == 15
    with pytest.raises(ValueError, match="'cls_token'"):
        ours.add_special_tokens({"cls_token": ["<c>"]})
