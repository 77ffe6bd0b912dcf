import unicodedata
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import PreTokenizedString, normalizers, pre_tokenizers

from minidistil.tokenization import BasicTokenizer

from .samples import SPECIAL_TOKENS

SETTINGS = [
    {},
    {"do_lower_case": False},
    {"strip_accents": False},
    {"do_lower_case": False, "strip_accents": True},
    {"tokenize_chinese_chars": False},
]


@cache
def stable_characters() -> list[str]:
    """Characters on which Python's Unicode tables and the library's can't differ.

    The library's classes are those of Unicode 8, Python's those of its own release. A character
    that Unicode 3.2 had already, in the class that it has today, had it in every release between.
    Left out besides are the few combining marks that stay after accents are stripped (Hangul tone
    and musical notation): sorted among other marks, they get a neighbour's offset in the library.
    """
    old = unicodedata.ucd_3_2_0
    return [
        char
        for char in map(chr, range(0x110000))
        if old.category(char) not in ("Cn", "Cs")
        and old.category(char) == unicodedata.category(char)
        and (unicodedata.category(char) == "Mn" or not unicodedata.combining(char))
    ]


def texts() -> st.SearchStrategy[str]:
    """Arbitrary text: any script, with what is known to be odd far more often than by chance."""
    odd = "aeibX 0,[]'$~"
    odd += "\t\n\r\0éÅİßΣςǅﬁ각博、\u0301\u0323\u0344\u200b\u00a0\u0085\u2028\u3000\ufffd😀"
    pieces = st.one_of(
        st.sampled_from(odd),
        st.sampled_from(stable_characters()),
        st.sampled_from([*SPECIAL_TOKENS, "e\u0301", "ﷺ", "İ", "naïve"]),
    )
    return st.lists(pieces, max_size=20).map("".join)


def words(text: str, **settings: Any) -> list[str]:
    return [word.text for word in BasicTokenizer(**settings).split(text)]


def reference(text: str, settings: dict) -> list[tuple[str, tuple[int, int]]]:
    """Words and offsets of the library, which keeps them in a PreTokenizedString."""
    normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    string = PreTokenizedString(text)
    string.normalize(normalizer.normalize)
    pre_tokenizers.BertPreTokenizer().pre_tokenize(string)
    return [(word, span) for word, span, _ in string.get_splits("original", "char")]


def test_the_worked_example() -> None:
    """ "Hé、 a!" step by step, each character with its index in the text.

    clean, lower-case   h0 é1 、2 ␣3 a4 !5
    strip accents       é is e + U+0301, both from index 1; U+0301 goes:  h0 e1 、2 ␣3 a4 !5
    split               、 and ! are punctuation: words of their own; the space only separates
    """
    found = [(word.text, word.origins) for word in BasicTokenizer().split("Hé、 a!")]
    assert found == [("he", (0, 1)), ("、", (2,)), ("a", (4,)), ("!", (5,))]


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        (" \tHeLLo!how  \n Are yoU?  ", {}, "hello ! how are you ?"),
        (" \tHeLLo!how  \n Are yoU?  ", {"do_lower_case": False}, "HeLLo ! how Are yoU ?"),
        ("H\u00e9llo", {}, "hello"),
        ("H\u00e9llo", {"strip_accents": False}, "h\u00e9llo"),
        ("H\u00e4LLo", {"do_lower_case": False, "strip_accents": True}, "HaLLo"),
        ("ah\u535a\u63a8zz", {}, "ah \u535a \u63a8 zz"),
        ("ah\u535a\u63a8zz", {"tokenize_chinese_chars": False}, "ah\u535a\u63a8zz"),
        ("a\n'll !!to?'d of, can't.", {}, "a ' ll ! ! to ? ' d of , can ' t ."),
        ("\u200e\u200f", {}, ""),
        ("\xad", {}, ""),
        ("a\x00b\ufffdc", {}, "abc"),
    ],
)
def test_published_examples(text: str, settings: dict, expected: str) -> None:
    assert words(text, **settings) == expected.split()


def test_never_split() -> None:
    basic = BasicTokenizer(never_split=["[UNK]", "[UNK]!"])
    found = [word.text for word in basic.split("HeLLo[UNK]! [unk][UNK]")]
    assert found == ["hello", "[UNK]!", "[", "unk", "]", "[UNK]"]


@pytest.mark.parametrize("settings_", SETTINGS, ids=str)
@example("\u0130 \u03a3\u03a3 \u1e9e")
@example("\uac01 \u1ea1\u0308\u0323")
@given(text=texts())
def test_words_and_offsets_of_the_library(settings_: dict, text: str) -> None:
    found = BasicTokenizer(**settings_).split(text)
    assert [(word.text, word.span(0, len(word.text))) for word in found] == reference(
        text, settings_
    )


def test_every_stable_character() -> None:
    text = " ".join(f"a{char}b" for char in stable_characters())
    found = BasicTokenizer().split(text)
    assert [(word.text, word.span(0, len(word.text))) for word in found] == reference(text, {})


@given(text=texts())
def test_a_second_pass_changes_nothing(text: str) -> None:
    once = words(text)
    assert words(" ".join(once)) == once
