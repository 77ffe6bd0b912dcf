from typing import Any

import numpy as np
import pytest
import torch

from minidistil.tokenization import DistilBertTokenizer
from minidistil.tokenization.lengths import share

from .samples import TINY_VOCAB

TOKENIZER = DistilBertTokenizer(TINY_VOCAB)


def test_the_worked_example() -> None:
    """Rooms for a pair of 3 and 9 tokens, longest first.

    room 10   9 is cut to 10 - 3 = 7, and 3 stays
    room 6    9 is cut to 3, and both fit exactly
    room 5    3 + 3 is still too much: 5 is halved, and the longer text gets the odd token
    """
    assert [share(3, 9, room) for room in (10, 6, 5)] == [(3, 7), (3, 3), (2, 3)]
    assert share(9, 3, 5) == (3, 2)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"padding": "most"}, "padding='most' is none of"),
        ({"truncation": "first"}, "truncation='first' is none of"),
        ({"padding_side": "up", "padding": True}, "padding_side='up' is none of"),
        ({"max_length": -1}, "max_length=-1 is no whole number from 0 up"),
        ({"stride": -1}, "stride=-1 is no whole number from 0 up"),
        ({"max_length": 5.0}, "max_length=5.0 is no whole number"),
        ({"max_length": "5"}, "max_length='5' is no whole number"),
        ({"max_length": True}, "max_length=True is no whole number"),
        ({"max_length": 5, "stride": 1.0}, "stride=1.0 is no whole number"),
        ({"padding": True, "pad_to_multiple_of": 8.0}, "pad_to_multiple_of=8.0 is no whole number"),
        ({"padding": True, "pad_to_multiple_of": -8}, "pad_to_multiple_of=-8 is no whole number"),
        ({"max_length": 1}, r"max_length=1 has no room for \[CLS\] and \[SEP\]"),
        ({"max_length": 4, "stride": 2}, "stride=2 must be less than the 2 tokens"),
        ({"max_length": 4, "truncation": "only_second"}, "needs a text_pair"),
        (
            {"max_length": 6, "padding": True, "truncation": True, "pad_to_multiple_of": 4},
            "max_length=6 is no multiple of pad_to_multiple_of=4",
        ),
    ],
)
def test_what_can_not_be(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TOKENIZER("want low un", **keywords)


@pytest.mark.parametrize("five", [np.int64(5), np.uint8(5), torch.tensor(5)], ids=repr)
def test_whole_numbers_of_others(five: Any) -> None:
    text = "want low un want low"
    keywords: dict[str, Any] = {"truncation": True, "max_length": five, "padding": True}
    assert TOKENIZER(text, **keywords).input_ids == TOKENIZER(text, max_length=5).input_ids
    assert len(TOKENIZER(text, padding=True, pad_to_multiple_of=five).input_ids) == 10


def test_a_text_too_short_to_be_cut() -> None:
    message = "truncation='only_first' can't cut 1 of 1 tokens to keep max_length=6"
    with pytest.raises(ValueError, match=message):
        TOKENIZER("want", "low un wa", truncation="only_first", max_length=6)


def test_no_limit() -> None:
    tokenizer = DistilBertTokenizer(TINY_VOCAB, model_max_length=10**30)
    text = "low " * 600
    assert len(tokenizer(text, truncation=True, padding="max_length").input_ids) == 602


def test_a_max_length_without_effect_is_told() -> None:
    with pytest.warns(UserWarning, match="max_length=4 has no effect with padding=True"):
        TOKENIZER("low un want low", padding=True, max_length=4)
