import copy
import pickle
from typing import Any

import pytest
import torch
import transformers

from minidistil.tokenization import DistilBertTokenizer

from .samples import TINY_VOCAB

TOKENIZER = DistilBertTokenizer(TINY_VOCAB)


def test_a_mapping_by_name_attribute_and_row() -> None:
    encoding = TOKENIZER(["want low", "running"])
    assert list(encoding) == ["input_ids", "attention_mask"]
    assert encoding.input_ids is encoding["input_ids"]
    assert encoding[1].ids == encoding.input_ids[1]
    assert dict(**encoding) == encoding.data
    encoding["labels"] = [1, 0]
    assert encoding.labels == [1, 0]
    with pytest.raises(AttributeError, match="no 'token_type_ids'"):
        _ = encoding.token_type_ids
    with pytest.raises(IndexError, match="no row 2 among 2"):
        encoding.tokens(2)


def test_the_way_back_to_the_text() -> None:
    """[CLS] un ##want ##ed runn ##ing [SEP] low [SEP], "unwanted running" and "low"."""
    encoding = TOKENIZER(["unwanted running"], ["low"])
    assert encoding.word_ids() == [None, 0, 0, 0, 1, 1, None, 0, None]
    assert encoding.sequence_ids(0) == [None, 0, 0, 0, 0, 0, None, 1, None]
    assert encoding.char_to_token(9) == encoding.char_to_token(0, 9) == 4
    assert encoding.char_to_token(8) is None
    assert encoding.char_to_token(0, 1, sequence_index=1) == 7
    assert encoding.token_to_chars(2) == encoding.token_to_chars(0, 2) == (2, 6)
    assert encoding.token_to_chars(0) is None


def test_to_moves_tensors_and_nothing_else() -> None:
    encoding = TOKENIZER("low", return_tensors="pt")
    encoding["text"] = ["low"]
    assert encoding.to("meta") is encoding
    assert encoding.input_ids.device == torch.device("meta")
    assert encoding.text == ["low"]


@pytest.mark.parametrize("texts", [["low", "low un"], ["", "low"]])
@pytest.mark.parametrize("kind", ["pt", "np"])
def test_ragged_rows_make_no_tensor(kind: str, texts: list[str]) -> None:
    """torch takes [[], [13]] for an empty tensor, and numpy makes an array of lists."""
    with pytest.raises(ValueError, match=r"'input_ids' have different lengths.*padding=True"):
        TOKENIZER(texts, add_special_tokens=False, return_tensors=kind)


def test_where_transformers_gives_something_that_is_no_batch() -> None:
    """torch loses the tokens behind an empty row, numpy makes an array of arrays."""
    theirs = transformers.DistilBertTokenizer(vocab=TINY_VOCAB)
    keywords: dict[str, Any] = {
        "is_split_into_words": True,
        "add_special_tokens": False,
        "return_offsets_mapping": True,
    }
    words = [[], ["low", "un low"]]
    assert theirs(words, return_tensors="pt", **keywords).input_ids.shape == (2, 0)
    assert theirs(words, return_tensors="np", **keywords).input_ids.dtype == object
    for kind in ("pt", "np"):
        with pytest.raises(ValueError, match=r"'input_ids' have different lengths"):
            TOKENIZER(words, return_tensors=kind, **keywords)
    found = TOKENIZER(words, return_tensors="pt", padding=True, **keywords)
    assert found.input_ids.tolist() == [[3, 3, 3], [13, 9, 13]]
    assert found.offset_mapping.shape == (2, 3, 2)


def test_an_unknown_kind_of_tensor() -> None:
    with pytest.raises(ValueError, match="return_tensors='tf' is none of"):
        TOKENIZER("low", return_tensors="tf")


def test_copies() -> None:
    encoding = TOKENIZER(["low un"])
    for twin in (copy.deepcopy(encoding), pickle.loads(pickle.dumps(encoding))):
        assert twin == encoding
        assert twin.tokens() == encoding.tokens()
