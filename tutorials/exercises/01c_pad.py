"""Laws of `pad(rows, pad_id, side)`: every token at its place, and a mask of lengths."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close

HINTS = [
    "How many places does a row lack? That many times pad_id, in front of it or behind it.",
    "The mask has the same three parts as the row: zeros, len(row) ones, zeros.",
    "[pad_id] * before + row + [pad_id] * after is a new list; row.append changes the old one.",
]
WRONG = {
    "the mask is taken from the ids": (
        "mask.append([0] * before + [1] * len(row) + [0] * after)",
        "mask.append([int(token != pad_id) for token in ids[-1]])",
    ),
    "always on the right": ('(0, fill) if side == "right" else (fill, 0)', "(0, fill)"),
    "the mask is always that of the right": (
        "[0] * before + [1] * len(row) + [0] * after",
        "[1] * len(row) + [0] * fill",
    ),
    "padding is always 0": (
        "[pad_id] * before + row + [pad_id] * after",
        "[0] * before + row + [0] * after",
    ),
    "1 is padding": (
        "[0] * before + [1] * len(row) + [0] * after",
        "[1] * before + [0] * len(row) + [1] * after",
    ),
    "the lists that are given grow": (
        "mask.append([0] * before + [1] * len(row) + [0] * after)",
        "mask.append([0] * before + [1] * len(row) + [0] * after)\n"
        "        row.extend([pad_id] * after)",
    ),
}


@dataclass(frozen=True)
class Case:
    """Rows of ids, and how to pad them."""

    rows: tuple[tuple[int, ...], ...] = ((1, 2), (3,))
    pad_id: int = 0
    side: str = "right"

    def lists(self):
        return [list(row) for row in self.rows]

    def want(self):
        longest = max(map(len, self.rows))
        input_ids = torch.full((len(self.rows), longest), self.pad_id)
        mask = torch.zeros_like(input_ids)
        for b, row in enumerate(self.rows):
            for s, token in enumerate(row):
                place = s if self.side == "right" else longest - len(row) + s
                input_ids[b, place] = token
                mask[b, place] = 1
        return input_ids, mask


CASES = st.builds(
    Case,
    rows=st.lists(st.lists(st.integers(0, 9), max_size=5).map(tuple), min_size=1, max_size=4).map(
        tuple
    ),
    pad_id=st.sampled_from([0, 7]),
    side=st.sampled_from(["right", "left"]),
)
HARD = [
    Case(),
    Case(side="left"),
    Case(pad_id=7),
    Case(((1, 0), (0,))),
    Case(((1, 2), ()), side="left"),
    Case(((), ())),
]


def ids(answer, case):
    """Every row keeps its tokens, at its side, and pad_id is everywhere else."""
    input_ids, _ = answer.pad(case.lists(), case.pad_id, case.side)
    assert_close(input_ids, case.want()[0])


def mask(answer, case):
    """The mask is 1 where a token stands, whatever its id, and 0 where padding stands."""
    _, attention_mask = answer.pad(case.lists(), case.pad_id, case.side)
    assert_close(attention_mask, case.want()[1])


def unchanged(answer, case):
    """The lists that are given stay as they are."""
    rows = case.lists()
    answer.pad(rows, case.pad_id, case.side)
    assert rows == case.lists(), f"they have become {rows}"


LAWS = [Law(ids, CASES, HARD), Law(mask, CASES, HARD), Law(unchanged, CASES, HARD)]
