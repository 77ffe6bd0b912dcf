"""Laws of `token_labels(word_labels, word_ids)`: a label at each word's first token, else -100."""

from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.learn.laws import Law

HINTS = [
    "A token is the first of its word where its number differs from that of the token before.",
    "Ask `word is not None`: `if word` is false for word 0, too.",
    "Compare the numbers of words, not their labels, and look the label up: word_labels[word].",
]
WRONG = {
    "word 0 is taken for no word": (
        "word is not None and word != before",
        "word and word != before",
    ),
    "every token of a word gets its label": (
        "word is not None and word != before",
        "word is not None",
    ),
    "special tokens get label 0": ("if first else -100", "if first else 0"),
    "the labels are dealt out in turn": (
        "word_labels[word]",
        "word_labels[sum(label != -100 for label in labels)]",
    ),
    "neighbours of one label count as one word": (
        "word != before",
        "(before is None or word_labels[word] != word_labels[before])",
    ),
}


@dataclass(frozen=True)
class Case:
    """Labels of words, and the word of each token."""

    word_labels: tuple[int, ...] = (3, 4)
    word_ids: tuple[int | None, ...] = (None, 0, 0, 1, None)

    def labels(self, answer):
        return answer.token_labels([*self.word_labels], [*self.word_ids])


def _case(words, padding):
    tokens = [number for number, (_, pieces) in enumerate(words) for _ in range(pieces)]
    ids = (None, *tokens, None, *[None] * padding)
    return Case(tuple(label for label, _ in words), ids)


WORD = st.tuples(st.integers(0, 4), st.sampled_from([1, 2, 3, 0]))
CASES = st.builds(_case, st.lists(WORD, max_size=5), st.integers(0, 2))
HARD = [
    Case(),
    Case((3,), (None, 0, None)),
    Case((4, 4), (None, 0, 1, None)),
    Case((1, 2, 3), (None, 0, 2, 2, None, None)),
    Case((), (None, None)),
]


def in_order(answer, case):
    """The labels besides -100 are those of the words that have a token, in order."""
    got = [label for label in case.labels(answer) if label != -100]
    seen = sorted({word for word in case.word_ids if word is not None})
    want = [case.word_labels[word] for word in seen]
    assert got == want, f"they are {got}, wanted is {want}"


def equals(answer, case):
    """Each label stands at the first token of its word, and -100 everywhere else."""
    want = [
        -100 if word is None or case.word_ids.index(word) < place else case.word_labels[word]
        for place, word in enumerate(case.word_ids)
    ]
    got = case.labels(answer)
    assert got == want, f"the labels are {got}, wanted is {want}"


LAWS = [Law(in_order, CASES, HARD), Law(equals, CASES, HARD)]
