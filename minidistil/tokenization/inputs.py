"""Whatever the user hands to the tokenizer, as two lists of texts.

    str | batch | pairs | pre-split words --read_texts--> firsts, seconds --tokenizer.py--> ids

A text is a string or, with `is_split_into_words`, a list of words.

Not here: cutting texts into tokens (`tokenizer.py`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

Text = str | Sequence[str]


class Texts(NamedTuple):
    """Texts ready to be tokenized.

    Attributes:
        firsts: The texts, or the first texts of the pairs.
        seconds: The second texts of the pairs; None where there are no pairs.
        batched: Whether the user gave a batch, be it of one.
        split_into_words: Whether a text is a list of words.
    """

    firsts: list[Text]
    seconds: list[Text] | None
    batched: bool
    split_into_words: bool

    def joined(self) -> list[Text] | list[tuple[Text, Text]]:
        """Texts, or pairs of texts."""
        if self.seconds is None:
            return self.firsts
        return list(zip(self.firsts, self.seconds, strict=True))


def read_texts(text: Any, text_pair: Any, is_split_into_words: bool) -> Texts:
    """Tell a single text from a batch, and check every string.

    Args:
        text: A text, a batch of them, or a batch of (text, second text).
        text_pair: The second texts, in the form of `text`.
        is_split_into_words: Texts are lists of words instead of strings.

    Raises:
        TypeError: Something is no text; the message names it and its place.
        ValueError: `text` and `text_pair` are batches of different sizes, or a text holds half a
            surrogate pair.
    """
    firsts: list[Any]
    seconds: list[Any] | None
    batched = isinstance(text, list | tuple) and (
        not is_split_into_words or (len(text) > 0 and isinstance(text[0], list | tuple))
    )
    if not batched:
        # transformers takes an empty second text for none, unless it is in a batch.
        firsts = [text]
        seconds = None if text_pair in (None, "", []) else [text_pair]
    elif text_pair is not None:
        if not isinstance(text_pair, list | tuple):
            raise TypeError(f"text is a batch, so text_pair must be one too, not {text_pair!r}")
        if len(text) != len(text_pair):
            raise ValueError(f"text holds {len(text)} texts and text_pair {len(text_pair)}")
        firsts, seconds = list(text), list(text_pair)
    elif text and all(_is_pair(item, is_split_into_words) for item in text):
        firsts, seconds = [item[0] for item in text], [item[1] for item in text]
    else:
        firsts, seconds = list(text), None
    for name, texts in (("text", firsts), ("text_pair", seconds or [])):
        for row, value in enumerate(texts):
            _check(value, f"{name}[{row}]" if batched else name, is_split_into_words)
    return Texts(firsts, seconds, batched, is_split_into_words)


def _is_pair(item: Any, is_split_into_words: bool) -> bool:
    kind = list | tuple if is_split_into_words else str
    return (
        isinstance(item, list | tuple)
        and len(item) == 2
        and all(isinstance(part, kind) for part in item)
    )


def _check(value: Any, place: str, is_split_into_words: bool) -> None:
    if is_split_into_words:
        if not isinstance(value, list | tuple):
            raise TypeError(f"{place} is {value!r}, not a list of words (is_split_into_words=True)")
        for index, word in enumerate(value):
            _check(word, f"{place}[{index}]", False)
    elif not isinstance(value, str):
        listed = "; lists of words need is_split_into_words=True"
        raise TypeError(
            f"{place} is {value!r}, a {type(value).__name__}, not a string"
            + (listed if isinstance(value, list | tuple) else "")
        )
    elif has_lone_surrogate(value):
        raise ValueError(
            f"{place} holds a lone surrogate (U+D800 to U+DFFF), which is no character; "
            'clean it with text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")'
        )


def has_lone_surrogate(text: str) -> bool:
    """Whether a text holds half a surrogate pair, which Python's strings can and UTF-8 can't."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
