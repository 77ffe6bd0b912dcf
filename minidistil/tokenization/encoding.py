"""What the tokenizer returns: named rows of numbers, with the way back to the text.

    text --tokenizer--> BatchEncoding --model(**encoding)--> ...

It is a mapping of `input_ids`, `attention_mask` and whatever else was asked for, as lists or
tensors, and it keeps the `tokenizers.Encoding` of each row, which knows the word and the
characters of every token. The names and calls are those of transformers' BatchEncoding.

Not here: making the rows (`tokenizer.py`), their lengths (`lengths.py`).
"""

from collections import UserDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding

TENSORS = {"pt": torch.from_numpy, "np": np.asarray}
# The columns that the tokenizer pads, whether it made the rows or gets them.
PADDED = ("input_ids", "attention_mask", "special_tokens_mask")


class BatchEncoding(UserDict[str, Any]):
    """A mapping from names to rows; `encoding.input_ids` is `encoding["input_ids"]`.

    Args:
        data: Name to values, a row each, or the values of a single text.
        encodings: The library's object behind each row, where there is one.
        return_tensors: "pt" or "np" for tensors of int64, or of float32 where a row holds a
            fraction; None to leave the lists as they are.

    Raises:
        ValueError: `return_tensors` is something else, or the rows of a name have different
            lengths or hold something else than numbers.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        encodings: list[Encoding] | None = None,
        return_tensors: str | None = None,
    ):
        super().__init__(data)
        self.encodings = encodings or []
        if return_tensors is not None:
            self.data = {name: _tensor(name, rows, return_tensors) for name, rows in self.items()}

    def __getitem__(self, key: str | int) -> Any:
        """Values of a name, or the `tokenizers.Encoding` of a row."""
        return self.data[key] if isinstance(key, str) else self._encoding(key)

    def __getattr__(self, name: str) -> Any:
        # While pickle or copy builds the object there is no data yet to look into.
        if name != "data" and name in self.data:
            return self.data[name]
        raise AttributeError(f"the encoding has no {name!r}")

    def to(self, device: str | int | torch.device) -> "BatchEncoding":
        """Move every tensor to `device`, in place; lists and arrays stay what they are."""
        self.data = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in self.items()
        }
        return self

    def tokens(self, batch_index: int = 0) -> list[str]:
        """Tokens of a row, special ones and padding included."""
        return self._encoding(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of a row the number of its word, None for special tokens and padding.

        Words are those of a pre-split text, else what whitespace and punctuation make of it; the
        second text of a pair counts from 0 again.
        """
        return self._encoding(batch_index).word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of a row 0 or 1, its text in the pair; None for special and padding."""
        return self._encoding(batch_index).sequence_ids

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Position of the token that holds a character of the text; None for whitespace.

        Args:
            batch_or_char_index: The row; the character of row 0 where it is the only index.
            char_index: The character.
            sequence_index: 1 to count in the second text of a pair.
        """
        row, char = _row_and_index(batch_or_char_index, char_index)
        return self._encoding(row).char_to_token(char, sequence_index)

    def token_to_chars(
        self, batch_or_token_index: int, token_index: int | None = None
    ) -> tuple[int, int] | None:
        """Half-open range of characters that a token stands for; None for a special token.

        Args:
            batch_or_token_index: The row; the token of row 0 where it is the only index.
            token_index: The token.
        """
        row, token = _row_and_index(batch_or_token_index, token_index)
        return self._encoding(row).token_to_chars(token)

    def _encoding(self, row: int) -> Encoding:
        if not -len(self.encodings) <= row < len(self.encodings):
            raise IndexError(f"there is no row {row} among {len(self.encodings)} tokenized rows")
        return self.encodings[row]


def _row_and_index(first: int, second: int | None) -> tuple[int, int]:
    return (0, first) if second is None else (first, second)


def _tensor(name: str, rows: list[Any], kind: str) -> Any:
    if kind not in TENSORS:
        raise ValueError(f'return_tensors={kind!r} is none of "pt", "np" and None')
    try:
        array = np.array(rows)
    except ValueError as error:
        advice = (
            "pass padding=True, and truncation=True where a text may be too long"
            if name in PADDED
            else f"the tokenizer pads {', '.join(PADDED)} and nothing else: pad {name!r} before "
            "(labels with -100), or leave return_tensors out"
        )
        raise ValueError(
            f"the rows of {name!r} have different lengths and make no tensor; {advice}"
        ) from error
    if array.dtype.kind not in "ifb":
        raise ValueError(f"the rows of {name!r} hold what is no number, or none of 64 bits")
    # Rows without a token are whole numbers too, though numpy can't know it.
    fractions = array.dtype.kind == "f" and array.size > 0
    return TENSORS[kind](array.astype(np.float32 if fractions else np.int64, copy=False))
