"""Laws of `wordpiece(word, vocab)`: greedy, ## behind the first piece, [UNK] for whole words."""

from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.learn.laws import Law
from minidistil.tokenization import WordPiece

HINTS = [
    "Two loops: the outer one goes on while start < len(word), the inner one tries each end.",
    'The longest first: end counts down from len(word). The prefix is "" only where start is 0.',
    "A for loop may have an else, which runs where no break did: there the whole word is unknown.",
]
WRONG = {
    "a word of 101 characters is cut": ("if len(word) > LONGEST:", "if False:"),
    "a word of 100 characters is unknown": ("len(word) > LONGEST", "len(word) >= LONGEST"),
    "no piece is looked up with ##": ('"##" if start else ""', '""'),
    "the first piece is looked up with ##": ('"##" if start else ""', '"##"'),
    "the shortest entry first": ("range(len(word), start, -1)", "range(start + 1, len(word) + 1)"),
    "what was found is kept before [UNK]": (
        'else:\n            return ["[UNK]"]',
        'else:\n            return [*pieces, "[UNK]"]',
    ),
}


@dataclass(frozen=True)
class Case:
    """A word, and the entries of the vocabulary besides [UNK]."""

    word: str = "ab"
    vocab: tuple[str, ...] = ("a", "##b")

    def entries(self):
        return {"[UNK]", *self.vocab}


@dataclass(frozen=True)
class Long:
    """The letter a so many times, with the entries a and ##a."""

    length: int = 100


ENTRIES = ["a", "##a", "b", "##b", "ab", "##ab", "ba", "##ba", "aba", "##bab"]
CASES = st.builds(
    Case,
    word=st.text("ab", max_size=7),
    vocab=st.lists(st.sampled_from(ENTRIES), unique=True).map(tuple),
)
HARD = [
    Case(),
    Case("ab", ("a",)),
    Case("ab", ("a", "b")),
    Case("ab", ("a", "ab", "##b")),
    Case("aab", ("a", "aa", "##ab")),
    Case("abab", ("ab", "##a", "##ab", "##b")),
    Case(""),
]


def equals(answer, case):
    """Each piece is the longest entry that fits, and a word that can't be spelt is [UNK]."""
    vocab = {token: number for number, token in enumerate(case.entries())}
    want = [piece for piece, _, _ in WordPiece(vocab).split(case.word)]
    got = answer.wordpiece(case.word, case.entries())
    assert got == want, f"{case.word!r} gives {got}, wanted is {want}"


def long_words(answer, case):
    """A word of 100 characters is cut, and a longer one is [UNK]."""
    want = ["a"] + ["##a"] * (case.length - 1) if case.length <= 100 else ["[UNK]"]
    got = answer.wordpiece("a" * case.length, {"[UNK]", "a", "##a"})
    assert got == want, f"{len(got)} pieces, {got[:2]} first; wanted are {len(want)}, {want[:2]}"


LAWS = [
    Law(equals, CASES, HARD),
    Law(long_words, st.builds(Long, st.integers(98, 103)), [Long(100), Long(101)]),
]
