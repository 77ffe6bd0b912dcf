from typing import Any

import pytest
import transformers

from minidistil.tokenization import DistilBertTokenizer
from minidistil.tokenization.backend import copy_backend

from .samples import TINY_VOCAB


def test_vocabularies() -> None:
    with pytest.raises(ValueError, match="give one of vocab, vocab_file and tokenizer_file, not 0"):
        DistilBertTokenizer()
    with pytest.raises(ValueError, match=r"unk_token='\[UNK\]' is not in the vocabulary"):
        DistilBertTokenizer({"a": 0})
    few = {"[UNK]": 0, "a": 1}
    assert DistilBertTokenizer(few).get_vocab() == (
        transformers.DistilBertTokenizer(vocab=few).get_vocab()
    )
    renamed = {"<u>": 0, "<s>": 1, "</s>": 2, "<p>": 3, "<m>": 4, "a": 5}
    names = dict(zip(("unk", "cls", "sep", "pad", "mask"), list(renamed)[:5], strict=True))
    arguments: dict[str, Any] = {f"{name}_token": token for name, token in names.items()}
    tokenizer = DistilBertTokenizer(renamed, **arguments)
    assert tokenizer(["a b <m>", "a"], padding=True).input_ids == [[1, 5, 0, 4, 2], [1, 5, 2, 3, 3]]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"b": 1}, r"gives both 'a' and 'b' the id 1"),
        ({"b": -1}, r"gives 'b' the id -1, not a whole number"),
        ({"b": 2**32}, r"gives 'b' the id 4294967296, not"),
        ({"b": "2"}, r"gives 'b' the id '2', not"),
        ({"b": 2.0}, r"gives 'b' the id 2.0, not"),
        ({"b": None}, r"gives 'b' the id None, not"),
        ({3: 2}, r"holds 3 \(id 2\), which is no text"),
        ({"\ud800": 2}, r"holds '\\ud800' \(id 2\), which is no text"),
        ({"b": True}, r"gives 'b' the id True, not"),
    ],
)
def test_a_vocabulary_with_ids_that_are_none(entry: dict[Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"the vocabulary {message}"):
        DistilBertTokenizer({"[UNK]": 0, "a": 1, **entry})


def test_a_copy_shares_the_vocabulary_and_no_settings() -> None:
    tokenizer = DistilBertTokenizer(TINY_VOCAB)
    tokenizer.add_tokens(["Newword"])
    backend = tokenizer.private_backend()
    backend.enable_truncation(3)
    backend.enable_padding(length=9)
    second = copy_backend(backend)
    assert (second.truncation, second.padding) == (None, None)
    assert second.get_vocab() == tokenizer.get_vocab()
    assert second.encode("low newword").ids == tokenizer.encode("low newword")
