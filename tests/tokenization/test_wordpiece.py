from typing import Any

import pytest
from hypothesis import given

from minidistil.tokenization import (
    BasicTokenizer,
    DistilBertTokenizer,
    WordPiece,
    WordPieceTokenizer,
)

from .samples import SPECIAL_TOKENS, TINY_VOCAB, real_vocab_file
from .test_basic import SETTINGS, stable_characters, texts


def readable(vocab: dict[str, int], **settings: Any) -> WordPieceTokenizer:
    return WordPieceTokenizer(vocab, BasicTokenizer(never_split=SPECIAL_TOKENS, **settings))


def test_the_worked_example() -> None:
    """ "unwanted" with the tiny vocabulary, always the longest entry first.

    unwanted?      no, nor unwante, unwant, unwan, unwa, unw; "un" is entry 9
    ##wanted?      no, nor ##wante; "##want" is entry 6
    ##ed           is entry 7, and the word is used up

    "unwantedX" gets as far, but no entry starts with ##X: the whole word is unknown, entry 0.
    """
    wordpiece = WordPiece(TINY_VOCAB)
    assert wordpiece.split("unwanted") == [("un", 0, 2), ("##want", 2, 6), ("##ed", 6, 8)]
    assert wordpiece.split("unwantedX") == [("[UNK]", 0, 9)]


def test_greedy_does_not_look_ahead() -> None:
    """abc = a + ##bc would do, but "ab" is longer than "a", and behind it there is no ##c."""
    assert WordPiece({"[UNK]": 0, "a": 1, "ab": 2, "##bc": 3}).split("abc") == [("[UNK]", 0, 3)]


def test_a_word_of_more_than_100_characters_is_unknown() -> None:
    wordpiece = WordPiece({"[UNK]": 0, "a": 1, "##a": 2})
    assert len(wordpiece.split("a" * 100)) == 100
    assert wordpiece.split("a" * 101) == [("[UNK]", 0, 101)]


def test_the_unknown_token_must_be_known() -> None:
    with pytest.raises(ValueError, match=r"'\[UNK\]' is not in the vocabulary"):
        WordPiece({"a": 0})


def test_published_ids_and_offsets() -> None:
    tokens = readable(TINY_VOCAB).tokenize("UNwant\u00e9d,running")
    assert [token.id for token in tokens] == [9, 6, 7, 12, 10, 11]
    spans = [(token.start, token.end) for token in tokens]
    assert spans == [(0, 2), (2, 6), (6, 8), (8, 9), (9, 13), (13, 16)]


@pytest.mark.parametrize("settings_", SETTINGS, ids=str)
def test_ids_and_offsets_of_the_library(settings_: dict) -> None:
    fast = DistilBertTokenizer(real_vocab_file("uncased"), **settings_)
    slow = readable(fast.get_vocab(), **settings_)

    @given(text=texts())
    def check(text: str) -> None:
        encoding = fast(text, add_special_tokens=False, return_offsets_mapping=True)
        tokens = slow.tokenize(text)
        assert encoding.input_ids == [token.id for token in tokens]
        assert encoding.offset_mapping == [(token.start, token.end) for token in tokens]

    check()


@pytest.mark.filterwarnings("ignore:a row has")
def test_every_stable_character() -> None:
    fast = DistilBertTokenizer(real_vocab_file("cased"), do_lower_case=False)
    slow = readable(fast.get_vocab(), do_lower_case=False)
    text = " ".join(stable_characters())
    assert slow.encode(text) == fast.encode(text, add_special_tokens=False)
