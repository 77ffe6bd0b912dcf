from typing import Any

import pytest
from tokenizers import AddedToken

from minidistil.tokenization import DistilBertTokenizer
from minidistil.tokenization.saved import added_token

from .samples import TINY_VOCAB


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"do_lower_case": "yes"}, r"do_lower_case='yes' is none of \[True, False\]"),
        ({"tokenize_chinese_chars": 1}, "tokenize_chinese_chars=1 is none of"),
        ({"strip_accents": "no"}, r"strip_accents='no' is none of \[True, False, None\]"),
        ({"clean_up_tokenization_spaces": None}, "clean_up_tokenization_spaces=None is none of"),
        ({"model_max_length": "512"}, "model_max_length='512' is no whole number from 1 up"),
        ({"model_max_length": 512.0}, "model_max_length=512.0 is no whole number"),
        ({"model_max_length": 0}, "model_max_length=0 is no whole number"),
        ({"padding_side": "middle"}, r"padding_side='middle' is none of \['right', 'left'\]"),
        ({"truncation_side": None}, "truncation_side=None is none of"),
        ({"mask_token": 4}, "mask_token=4 is no string"),
    ],
)
def test_arguments_of_a_tokenizer(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistilBertTokenizer(TINY_VOCAB, **setting)


def test_an_added_token_has_the_flags_that_are_there() -> None:
    assert added_token({"content": "<x>", "rstrip": True, "__type": "AddedToken"}, "here").rstrip
    special = added_token({"content": "<x>", "special": True}, "here")
    assert special.normalized is AddedToken("<x>", special=True).normalized is False
    for value in ("<x>", None, 7, [], {"lstrip": True}, {"content": 7}, {"content": "\ud800"}):
        with pytest.raises(ValueError, match="here holds .*, which is no token"):
            added_token(value, "here")
    for flag in (None, 1, "true"):
        with pytest.raises(ValueError, match=f"here: lstrip of 'x' is {flag!r}, not true or false"):
            added_token({"content": "x", "lstrip": flag}, "here")
