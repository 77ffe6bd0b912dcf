"""Laws of `is_punctuation(char)` and `split(text)`: what BERT's own tokenizer does."""

from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.learn.laws import Law
from minidistil.tokenization import BasicTokenizer, basic

HINTS = [
    "unicodedata.normalize takes letters apart, unicodedata.category names what a character is.",
    "string.punctuation is every ASCII character that is no letter, digit or space.",
    "Put a space on each side of every punctuation mark; then str.split() does the rest.",
]
WRONG = {
    "ASCII symbols are letters": ("char in string.punctuation or ", ""),
    "only ASCII has punctuation": (' or unicodedata.category(char).startswith("P")', ""),
    "accents stay": ('"NFD"', '"NFC"'),
    "ligatures are taken apart, too": ('"NFD"', '"NFKD"'),
    "capital letters stay": ('"Mn").lower()', '"Mn")'),
    "ß becomes ss": (".lower()", ".casefold()"),
    "punctuation is dropped": ('f" {char} "', '" "'),
    "punctuation sticks to the word before": ('f" {char} "', 'f"{char} "'),
}


@dataclass(frozen=True)
class Case:
    """A text."""

    text: str = "a.b"


@dataclass(frozen=True)
class Character:
    """A character."""

    char: str = "a"


# Among them: a combining accent, a space that does not break, letters without accent to drop (ø),
# a ligature, symbols and punctuation inside and outside ASCII.
CHARACTERS = "aB1 éÜøßﬁ\u0301\t\n\u00a0.,'-_$+<^`|~€×—¿…"
CASES = st.builds(Case, st.text(CHARACTERS, max_size=8))
HARD = [Case(text) for text in ("a.b", "A", "É e\u0301", "a$b", "a_b", "a—b", "€5", "ß", "ﬁ", "")]


def punctuation(answer, case):
    """Punctuation is what Unicode calls so, and every ASCII symbol."""
    got, want = answer.is_punctuation(case.char), basic.is_punctuation(case.char)
    assert bool(got) == want, f"{case.char!r} is {'' if want else 'not '}punctuation to BERT"


def words(answer, case):
    """The words are in lower case, without accents, cut at spaces and around punctuation."""
    got = answer.split(case.text)
    want = [word.text for word in BasicTokenizer().split(case.text)]
    assert got == want, f"{case.text!r} gives {got}, wanted is {want}"


LAWS = [
    Law(
        punctuation,
        st.builds(Character, st.sampled_from(CHARACTERS)),
        [Character(char) for char in "a1 .$^~_—€"],
    ),
    Law(words, CASES, HARD),
]
