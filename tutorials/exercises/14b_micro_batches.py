"""Laws of `micro_batches(lengths, most)` and `in_batches(texts, fn, most)`."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

from minidistil.learn.laws import Law

HINTS = [
    "Sort the places, range(len(lengths)), with the length as the key: places are what you need "
    "at the end.",
    "In that order the text at hand is the longest so far: (texts of the batch + 1) * its length.",
    "Keep the results in a dict by place, and read it out in the order 0, 1, 2, ...",
]
WRONG = {
    "results in the order of the lengths": (
        "[results[place] for place in range(len(texts))]",
        "list(results.values())",
    ),
    "padding is not counted": (
        "(len(batches[-1]) + 1) * lengths[place]",
        "sum(lengths[i] for i in batches[-1]) + lengths[place]",
    ),
    "one text too many": ("(len(batches[-1]) + 1) * lengths", "len(batches[-1]) * lengths"),
    "the shortest text is measured": (
        "(len(batches[-1]) + 1) * lengths[place]",
        "(len(batches[-1]) + 1) * lengths[batches[-1][0]]",
    ),
    "nothing is sorted": (
        "sorted(range(len(lengths)), key=lambda place: lengths[place])",
        "range(len(lengths))",
    ),
    "a batch for every text": ("<= most:", "< 0:"),
    "a full batch is one too many": ("<= most:", "< most:"),
    "a text that is too long is left out": (
        "        else:",
        "        elif lengths[place] <= most:",
    ),
    "all texts in one call": (
        "micro_batches([len(text) for text in texts], most)",
        "[range(len(texts))]",
    ),
}


@dataclass(frozen=True)
class Case:
    """The lengths of the texts, and the tokens of a batch."""

    lengths: tuple[int, ...] = (3, 1)
    most: int = 4

    def texts(self):
        """Text i is i, so often as it is long."""
        return [[place] * length for place, length in enumerate(self.lengths)]


CASES = st.builds(
    Case, lengths=st.lists(st.integers(1, 6), max_size=7).map(tuple), most=st.integers(1, 12)
)
HARD = [
    Case(),
    Case((1, 3), 4),
    Case((2, 2), 2),
    Case((2, 2), 4),
    Case((5, 1), 4),
    Case(()),
    Case((3, 1, 2), 12),
]


def every_text_once(answer, case):
    """Every text is in one batch."""
    batches = answer.micro_batches(case.lengths, case.most)
    places = sorted(place for batch in batches for place in batch)
    assert places == list(range(len(case.lengths))), f"the batches are {batches}"


def bound(answer, case):
    """A batch of several texts has at most so many tokens, padding included."""
    batches = answer.micro_batches(case.lengths, case.most)
    for lengths in of_batches(case, batches):
        tokens = len(lengths) * max(lengths)
        assert len(lengths) == 1 or tokens <= case.most, f"{tokens} tokens in one of {batches}"


def alike_and_full(answer, case):
    """Batches go from short to long texts, and none is closed too soon."""
    batches = answer.micro_batches(case.lengths, case.most)
    for first, second in pairwise(of_batches(case, batches)):
        assert max(first) <= min(second), f"lengths are {first}, then {second}"
        assert (len(first) + 1) * min(second) > case.most, (
            f"lengths are {first}, then {second}: {min(second)} would have fitted into the first"
        )


def order(answer, case):
    """Results come in the order of the texts, from batches that keep the bound."""
    texts, asked = case.texts(), []

    def fn(batch):
        asked.append([len(text) for text in batch])
        return [f"result {text[0]}" for text in batch]

    got = answer.in_batches(texts, fn, case.most)
    assert got == [f"result {place}" for place in range(len(texts))], f"{got}"
    for lengths in asked:
        assert len(lengths) == 1 or len(lengths) * max(lengths) <= case.most, (
            f"fn is called with texts of {lengths} tokens"
        )
    assert sum(len(lengths) for lengths in asked) == len(texts), "a text is computed twice"


def of_batches(case, batches):
    return [[case.lengths[place] for place in batch] for batch in batches]


LAWS = [
    Law(every_text_once, CASES, HARD),
    Law(bound, CASES, HARD),
    Law(alike_and_full, CASES, HARD),
    Law(order, CASES, HARD),
]
