from typing import Any

import pytest

from minidistil.tokenization import DistilBertTokenizer
from minidistil.tokenization.inputs import Texts, read_texts

from .samples import TINY_VOCAB


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None, False), "text is None, a NoneType, not a string"),
        ((3, None, False), "text is 3, a int, not a string"),
        ((b"low", None, False), "text is b'low', a bytes, not a string"),
        ((["low", None], None, False), r"text\[1\] is None, a NoneType"),
        (([["low"]], None, False), r"text\[0\] is \['low'\].*is_split_into_words=True"),
        (("low", 5, False), "text_pair is 5"),
        (("low", ["low"], False), r"text_pair is \['low'\]"),
        ((["low"], "low", False), "text is a batch, so text_pair must be one too, not 'low'"),
        ((["low"], [None], False), r"text_pair\[0\] is None"),
        (("low", None, True), "text is 'low', not a list of words"),
        ((["low", 7], None, True), r"text\[1\] is 7, a int"),
        (([["low"], [7]], None, True), r"text\[1\]\[0\] is 7, a int"),
        (([["low"], "low"], None, True), r"text\[1\] is 'low', not a list of words"),
    ],
)
def test_what_is_no_text(arguments: tuple[Any, Any, bool], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        read_texts(*arguments)


def test_batches_of_different_sizes() -> None:
    with pytest.raises(ValueError, match="text holds 2 texts and text_pair 1"):
        read_texts(["a", "b"], ["c"], False)


def test_pairs_in_a_batch_are_taken_apart() -> None:
    assert read_texts([("a", "b"), ("c", "d")], None, False) == Texts(
        ["a", "c"], ["b", "d"], batched=True, split_into_words=False
    )
    assert read_texts(["a", "b"], None, True) == Texts([["a", "b"]], None, False, True)


def test_half_a_surrogate_pair() -> None:
    tokenizer = DistilBertTokenizer(TINY_VOCAB)
    with pytest.raises(ValueError, match=r"^text\[1\] holds a lone surrogate"):
        tokenizer(["low", "\ud800"])
    with pytest.raises(ValueError, match=r"^text_pair\[1\] holds a lone surrogate"):
        tokenizer(["low"], ["a", "b\udfff"], is_split_into_words=True)
    assert tokenizer("\U0001f600").input_ids == [1, 0, 2]
