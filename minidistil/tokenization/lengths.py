"""How long a row may be: what one call asks for in truncation and padding.

    tokens of A, of B --truncate--> [CLS] A [SEP] B [SEP] --pad--> rows of one length

The `tokenizers` library does both, with settings that stay inside its object, where one call would
change the next one and one thread the other's. Here a call reads its keywords into a `LengthRule`
and switches that on in a backend of its own.

Source: the keywords and their meaning are transformers'.

Not here: the ids (`tokenizer.py`).
"""

import warnings
from dataclasses import dataclass

from tokenizers import Tokenizer

from minidistil.arguments import whole

# What users write, and what it means; None is off.
PADDING = {
    True: "longest",
    False: None,
    "longest": "longest",
    "max_length": "max_length",
    "do_not_pad": None,
}
TRUNCATION = {
    True: "longest_first",
    False: None,
    "longest_first": "longest_first",
    "only_first": "only_first",
    "only_second": "only_second",
    "do_not_truncate": None,
}
SIDES = {"right": "right", "left": "left"}
# transformers writes 10**30 as the length of a model that has no limit.
UNLIMITED = 10**20


@dataclass(frozen=True)
class LengthRule:
    """Truncation and padding of one call; see `DistilBertTokenizer.__call__` for the keywords.

    Attributes:
        padding: "longest", "max_length" or None.
        truncation: "longest_first", "only_first", "only_second" or None.
        max_length: In tokens, special ones included; a number wherever the two above need one.
        stride: Tokens that a part which was cut off repeats from the part before.
        pad_to_multiple_of: Padded lengths are rounded up to a multiple of it.
        padding_side: Where padding goes.
        truncation_side: Where tokens are cut off.
    """

    padding: str | None
    truncation: str | None
    max_length: int
    stride: int
    pad_to_multiple_of: int | None
    padding_side: str
    truncation_side: str

    @classmethod
    def read(
        cls,
        *,
        padding: bool | str,
        truncation: bool | str | None,
        max_length: int | None,
        stride: int = 0,
        pad_to_multiple_of: int | None,
        padding_side: str,
        truncation_side: str = "right",
        model_max_length: int,
    ) -> "LengthRule":
        """Settle the keywords of a call, which may be left out or be booleans.

        Raises:
            ValueError: A keyword has no such value, or two of them contradict each other.
        """
        if truncation is None:
            truncation = max_length is not None and padding is False
        pad = _meaning("padding", padding, PADDING)
        cut = _meaning("truncation", truncation, TRUNCATION)
        if padding is True and max_length is not None and cut is None:
            warnings.warn(
                f"max_length={max_length} has no effect with padding=True and no truncation; "
                'pass padding="max_length" to pad to it',
                stacklevel=3,
            )
        if max_length is None:
            max_length = whole("model_max_length", model_max_length)
            if max_length > UNLIMITED:
                pad, cut = "longest" if pad == "longest" else None, None
        max_length, stride = whole("max_length", max_length), whole("stride", stride)
        if pad_to_multiple_of is not None:
            pad_to_multiple_of = whole("pad_to_multiple_of", pad_to_multiple_of)
        if pad and cut and pad_to_multiple_of and max_length % pad_to_multiple_of:
            raise ValueError(
                f"max_length={max_length} is no multiple of pad_to_multiple_of="
                f"{pad_to_multiple_of}: a row can't be cut to the one and padded to the other"
            )
        return cls(
            pad,
            cut,
            max_length,
            stride,
            pad_to_multiple_of,
            _meaning("padding_side", padding_side, SIDES) or "",
            _meaning("truncation_side", truncation_side, SIDES) or "",
        )

    def configure(self, backend: Tokenizer, pad_token: str, pad_id: int) -> None:
        """Switch the rule on in a backend that serves one call."""
        if self.truncation:
            backend.enable_truncation(
                self.max_length,
                stride=self.stride,
                strategy=self.truncation,
                direction=self.truncation_side,
            )
        if self.padding:
            backend.enable_padding(
                length=self.max_length if self.padding == "max_length" else None,
                direction=self.padding_side,
                pad_to_multiple_of=self.pad_to_multiple_of,
                pad_id=pad_id,
                pad_token=pad_token,
            )

    @property
    def needs_check(self) -> bool:
        """Whether there are texts that can't be cut as asked, so that `check` must see them all."""
        return self.truncation is not None and (
            self.truncation != "longest_first" or self.stride > 0
        )

    def check(self, first: int, second: int | None, special_tokens: int) -> None:
        """Make sure that a text or a pair of so many tokens can be cut as asked.

        Where it can't, the library aborts with a trace of its own insides.

        Raises:
            ValueError: The limit can't be kept, or the stride not go into what is left of a text.
        """
        room = self.max_length - special_tokens
        excess = first + (second or 0) - room
        if excess <= 0 or room == 0:
            return
        if second is None and self.truncation == "only_second":
            raise ValueError('truncation="only_second" needs a text_pair to cut')
        if second is None:
            kept = [(first, room)]
        elif self.truncation == "longest_first":
            kept = list(zip((first, second), share(first, second, room), strict=True))
        else:
            length = first if self.truncation == "only_first" else second
            if length <= excess:
                raise ValueError(
                    f"truncation={self.truncation!r} can't cut {excess} of {length} tokens to keep "
                    f'max_length={self.max_length}; truncation="longest_first" cuts both texts'
                )
            kept = [(length, length - excess)]
        for length, left in kept:
            if 0 < left < length and left <= self.stride:
                raise ValueError(
                    f"stride={self.stride} must be less than the {left} tokens that are left of a "
                    f"text under max_length={self.max_length}"
                )

    def padded_length(self, lengths: list[int]) -> int:
        """Length to pad rows of these lengths to; a longer row stays as it is."""
        if self.padding is None:
            return 0
        length = self.max_length if self.padding == "max_length" else max(lengths, default=0)
        multiple = self.pad_to_multiple_of or 1
        return -(-length // multiple) * multiple


def share(first: int, second: int, room: int) -> tuple[int, int]:
    """Lengths that longest-first leaves to a pair which is too long for `room` tokens.

    The longer text is cut down to the shorter one, then both alike; an odd token is the longer's.
    """
    short, long = sorted((first, second))
    long = max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)


def _meaning(name: str, value: object, meanings: dict) -> str | None:
    # 1 == True in Python, and is no value here.
    if not isinstance(value, bool | str) or value not in meanings:
        raise ValueError(f"{name}={value!r} is none of {list(meanings)}")
    return meanings[value]
