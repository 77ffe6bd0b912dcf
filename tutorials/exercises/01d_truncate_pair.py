"""Laws of `truncate_pair(first, second, limit)`: it fits, and the longer text pays."""

from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.learn.laws import Law

HINTS = [
    "How many tokens of the two texts fit beside [CLS], [SEP] and [SEP]?",
    "Count down two lengths, not the lists: slices such as first[:a] leave the lists alone.",
    "While a + b is more than the room: is a the larger one? Else it is b's turn, ties included.",
]
WRONG = {
    "special tokens get no room": ("limit - 3", "limit"),
    "one [SEP] is forgotten": ("limit - 3", "limit - 2"),
    "ties are cut from the first": ("if a > b:", "if a >= b:"),
    "only the second pays, while it can": ("if a > b:", "if b == 0:"),
    "half of the room for each": (
        "first[:a], second[:b]",
        "first[: room - room // 2], second[: room // 2]",
    ),
    "cut at the front": (
        "first[:a], second[:b]",
        "first[len(first) - a :], second[len(second) - b :]",
    ),
    "the lists that are given are cut": (
        "return first[:a], second[:b]",
        "del first[a:], second[b:]\n    return first, second",
    ),
    "a limit below 3 is not refused": ("if room < 0:", "if False:"),
}


@dataclass(frozen=True)
class Case:
    """Ids of two texts, and the longest row."""

    first: tuple[int, ...] = (1, 2)
    second: tuple[int, ...] = (3, 4)
    limit: int = 6

    def cut(self, answer):
        return answer.truncate_pair([*self.first], [*self.second], self.limit)


IDS = st.lists(st.integers(1, 9), max_size=8).map(tuple)
CASES = st.builds(Case, first=IDS, second=IDS, limit=st.integers(3, 16))
SMALL = st.builds(Case, first=IDS, second=IDS, limit=st.integers(0, 2))
HARD = [
    Case(),
    Case(limit=7),
    Case(limit=3),
    Case((1, 2, 3, 4), (5,), 7),
    Case((1, 2, 3, 4), (5,), 8),
    Case((1,), (2, 3, 4, 5), 7),
    Case((1, 2), (3, 4, 5, 6), 6),
    Case((), (1, 2, 3), 5),
    Case((), (), 3),
]


def fits(answer, case):
    """The row has `limit` tokens at most, and no fewer than it could have."""
    first, second = case.cut(answer)
    got, whole = len(first) + len(second) + 3, len(case.first) + len(case.second) + 3
    want = min(case.limit, whole)
    assert got == want, f"the row has {got} tokens, {whole} before; {want} fit"


def longer_pays(answer, case):
    """Each text keeps its beginning: the longer one pays, in a tie the second."""
    first, second = case.cut(answer)
    room = case.limit - 3
    # The first keeps its half of the room, rounded up, and what the second does not need.
    half = room - room // 2
    a = min(len(case.first), max(half, room - len(case.second)))
    b = min(len(case.second), room - a)
    want = [*case.first[:a]], [*case.second[:b]]
    assert ([*first], [*second]) == want, f"left is {first} and {second}, wanted is {want}"


def unchanged(answer, case):
    """The lists that are given stay as they are."""
    first, second = [*case.first], [*case.second]
    answer.truncate_pair(first, second, case.limit)
    assert (first, second) == ([*case.first], [*case.second]), (
        f"they have become {first} and {second}"
    )


def too_small(answer, case):
    """A limit below 3 is refused with ValueError."""
    try:
        got = case.cut(answer)
    except ValueError:
        return
    raise AssertionError(f"no error, but {got}")


LAWS = [
    Law(fits, CASES, HARD),
    Law(longer_pays, CASES, HARD),
    Law(unchanged, CASES, HARD),
    Law(too_small, SMALL, [Case(limit=2), Case((), (), 0)]),
]
