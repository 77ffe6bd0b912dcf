"""The first half of BERT's tokenizer: text to words. Written to be read, not to be fast.

    text --clean--> --space out CJK--> --strip accents--> --lower-case--> --split--> words
    words --wordpiece.py--> tokens --> input_ids

Every step takes and gives a stream of pairs (character, index of the character of the original
text it came from), so that each word still knows its place in what the user wrote.

Source: the BasicTokenizer of BERT (Devlin et al. 2018, arXiv 1810.04805), in the reading of the
`tokenizers` library, with which the results agree offset for offset.

Not here: subwords (`wordpiece.py`), padding, truncation, speed (`tokenizer.py`).

One honest limit: "punctuation", "accent" and "control character" are classes of the Unicode tables,
and the tables differ. Python's are those of its own release (`unicodedata.unidata_version`), the
library's classes are of Unicode 8 and its decompositions older than Unicode 13. A character younger
than that, or one moved to another class since (U+1734, U+166D, U+1885, U+1886, U+111C9), may be
split differently by the two; on all others they agree.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

Characters = Iterator[tuple[str, int]]

# What BERT calls a Chinese character: ideographs, but neither kana nor hangul, whose languages
# write spaces or are cut by WordPiece. The sixth block starts at U+2B820 in BERT's own code; the
# `tokenizers` library starts it at U+2B920, and the library is what our models run with.
CJK_BLOCKS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class Word(NamedTuple):
    """A word after normalisation, and where each of its characters came from.

    Attributes:
        text: The normalised characters.
        origins: For each of them, the index of its source in the original text.
    """

    text: str
    origins: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Place of `text[start:end]` in the original text, as a half-open range of indices."""
        return self.origins[start], self.origins[end - 1] + 1


class BasicTokenizer:
    """Splits text into words and punctuation marks.

    Args:
        do_lower_case: Lower-case every character.
        strip_accents: Drop accents: é becomes e. None follows `do_lower_case`.
        tokenize_chinese_chars: Make every CJK ideograph a word of its own.
        never_split: Strings taken as they stand, such as "[MASK]".
    """

    def __init__(
        self,
        do_lower_case: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        never_split: Sequence[str] = (),
    ):
        self.do_lower_case = do_lower_case
        self.strip_accents = do_lower_case if strip_accents is None else strip_accents
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self.never_split = tuple(never_split)
        # The longest first, because a regular expression takes the first alternative that fits.
        longest_first = sorted(self.never_split, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def split(self, text: str) -> list[Word]:
        """Words of `text` in order; whitespace separates and is dropped."""
        words: list[Word] = []
        position = 0
        for match in self._special.finditer(text):
            words += self._split_plain(text, position, match.start())
            words.append(Word(match.group(), tuple(range(*match.span()))))
            position = match.end()
        return words + list(self._split_plain(text, position, len(text)))

    def _split_plain(self, text: str, start: int, end: int) -> Iterator[Word]:
        characters = clean(zip(text[start:end], range(start, end), strict=True))
        if self.tokenize_chinese_chars:
            characters = space_out_cjk(characters)
        if self.strip_accents:
            characters = strip_accents(characters)
        if self.do_lower_case:
            characters = lower_case(characters)
        return split_words(characters)


def clean(characters: Iterable[tuple[str, int]]) -> Characters:
    """Drop what can't be seen (controls, NUL, U+FFFD); make every whitespace a plain space."""
    for char, origin in characters:
        if char in "\t\n\r":
            yield " ", origin
        elif char != "\ufffd" and not is_control(char):
            yield (" " if char.isspace() else char), origin


def space_out_cjk(characters: Characters) -> Characters:
    """Put a space on each side of every CJK ideograph."""
    for char, origin in characters:
        if is_cjk(char):
            yield from ((" ", origin), (char, origin), (" ", origin))
        else:
            yield char, origin


def strip_accents(characters: Characters) -> Characters:
    """Take every character apart (NFD: é is e + U+0301) and drop the combining accents.

    Full NFD also sorts the marks behind a letter. Of the marks that survive here only a few of
    Hangul and musical notation could change places, so the order of the text is kept.
    """
    for char, origin in characters:
        for part in unicodedata.normalize("NFD", char):
            if unicodedata.category(part) != "Mn":
                yield part, origin


def lower_case(characters: Characters) -> Characters:
    """Lower-case each character by itself: Σ is always σ, though Greek ends a word with ς."""
    for char, origin in characters:
        for lower in char.lower():  # İ gives two characters
            yield lower, origin


def split_words(characters: Characters) -> Iterator[Word]:
    """Cut at whitespace, and around every punctuation mark, which is a word of its own."""
    word: list[tuple[str, int]] = []
    for char, origin in characters:
        separates = char.isspace() or is_punctuation(char)
        if separates and word:
            yield _word(word)
            word = []
        if is_punctuation(char):
            yield Word(char, (origin,))
        elif not separates:
            word.append((char, origin))
    if word:
        yield _word(word)


def _word(characters: list[tuple[str, int]]) -> Word:
    text, origins = zip(*characters, strict=True)
    return Word("".join(text), origins)


def is_control(char: str) -> bool:
    """Control (Cc), format (Cf) and private-use (Co) characters; NUL is one of them."""
    return unicodedata.category(char) in ("Cc", "Cf", "Co")


def is_cjk(char: str) -> bool:
    """Whether the character lies in one of `CJK_BLOCKS`."""
    return any(first <= ord(char) <= last for first, last in CJK_BLOCKS)


def is_punctuation(char: str) -> bool:
    """Unicode's punctuation classes, and all ASCII that is no letter, digit or space.

    ASCII's `$ + < = > ^ | ~` and the backtick are symbols to Unicode and punctuation to BERT.
    """
    return char in ASCII_PUNCTUATION or unicodedata.category(char).startswith("P")
