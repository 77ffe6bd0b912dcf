"""What is known of a tokenizer before it is built: vocabulary, added tokens, settings, all checked.

    files --tokenizer_json.py, serialization.py--> SavedTokenizer --backend.py--> tokenizer

Not here: the files, whose names the readers put in front of an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from tokenizers import AddedToken

from minidistil.arguments import whole
from minidistil.tokenization.inputs import has_lone_surrogate
from minidistil.tokenization.lengths import SIDES

SPECIAL_TOKENS = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# Arguments of `DistilBertTokenizer` that are saved: the type of each, or its values.
SETTINGS: dict[str, type | tuple[Any, ...]] = {
    "do_lower_case": (True, False),
    "strip_accents": (True, False, None),
    "tokenize_chinese_chars": (True, False),
    "model_max_length": int,
    "padding_side": tuple(SIDES),
    "truncation_side": tuple(SIDES),
    "clean_up_tokenization_spaces": (True, False),
    **dict.fromkeys(SPECIAL_TOKENS, str),
}
# All that makes an added token, besides its text.
ADDED_TOKEN_FLAGS = ("lstrip", "normalized", "rstrip", "single_word", "special")
ID_LIMIT = 2**32  # the library keeps ids in 32 bits


@dataclass
class SavedTokenizer:
    """A tokenizer as the files, or the arguments of the class, say it.

    Attributes:
        vocab: Token to id, without added tokens.
        added: Id to added token, special tokens included.
        settings: Arguments of `DistilBertTokenizer`, those of `SETTINGS` that are on file.
        extra_special_tokens: Special tokens beyond the five of `SPECIAL_TOKENS`.

    Raises:
        ValueError: The vocabulary holds what is no token, or an id that is none or is two tokens'.
    """

    vocab: dict[str, int]
    added: dict[int, AddedToken] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    extra_special_tokens: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        owners: dict[int, str] = {}
        for token, index in self.vocab.items():
            if not isinstance(token, str) or has_lone_surrogate(token):
                raise ValueError(f"the vocabulary holds {token!r} (id {index!r}), which is no text")
            if (
                isinstance(index, bool)
                or not isinstance(index, int | Integral)
                or not 0 <= index < ID_LIMIT
            ):
                raise ValueError(
                    f"the vocabulary gives {token!r} the id {index!r}, not a whole number from 0 up"
                )
            other = owners.setdefault(index, token)
            if other is not token:
                raise ValueError(
                    f"the vocabulary gives both {other!r} and {token!r} the id {index}"
                )


def check_setting(name: str, value: Any, label: str | None = None) -> None:
    """Check an argument of `DistilBertTokenizer`.

    Args:
        name: Of `SETTINGS`.
        value: What it is to be.
        label: What a file calls it, where that is something else.

    Raises:
        ValueError: It can't be that.
    """
    label, allowed = label or name, SETTINGS[name]
    if allowed is int:
        whole(label, value, least=1)
    elif isinstance(allowed, tuple):
        # 1 == True in Python, and is no value here.
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise ValueError(f"{label}={value!r} is none of {list(allowed)}")
    elif not isinstance(value, allowed):
        raise ValueError(f"{label}={value!r} is no string")


def token_text(value: Any, place: str) -> str:
    """The text of a token, which files write as a string or with all its flags.

    Raises:
        ValueError: It is neither.
    """
    token = value.get("content") if isinstance(value, Mapping) else value
    if not isinstance(token, str) or has_lone_surrogate(token):
        raise ValueError(f"{place} holds {value!r}, which is no token")
    return token


def added_token(value: Any, place: str) -> AddedToken:
    """The added token that a file describes by its text and flags.

    Raises:
        ValueError: It describes none.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{place} holds {value!r}, which is no token with its flags")
    content = token_text(value, place)
    flags = {name: value[name] for name in ADDED_TOKEN_FLAGS if name in value}
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise ValueError(f"{place}: {name} of {content!r} is {flag!r}, not true or false")
    return AddedToken(content, **flags)
