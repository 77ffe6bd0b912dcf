"""Laws of `embed(input_ids, words, positions, norm, position_ids)`: two rows, added, normalised."""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal

HINTS = [
    "A table indexed by a tensor of ids gives a row for each id: words[input_ids] is (..., S, D).",
    "No position_ids: torch.arange of the last axis; (S, D) broadcasts over the axes in front.",
]
WRONG = {
    "position_ids are not used": ("if position_ids is None:", "if True:"),
    "positions start at 1": (
        "torch.arange(input_ids.shape[-1])",
        "torch.arange(input_ids.shape[-1]) + 1",
    ),
    "positions count the rows of the batch": ("input_ids.shape[-1]", "input_ids.shape[0]"),
    "the position is looked up by the id": ("positions[position_ids]", "positions[input_ids]"),
    "normalised before the sum": (
        "norm(words[input_ids] + positions[position_ids])",
        "norm(words[input_ids]) + positions[position_ids]",
    ),
    "not normalised": (
        "norm(words[input_ids] + positions[position_ids])",
        "words[input_ids] + positions[position_ids]",
    ),
}
V, D, LONGEST = 6, 4, 8


@dataclass(frozen=True)
class Case:
    """Ids and positions; the tables are normal numbers, words (6, 4) and positions (8, 4)."""

    input_ids: tuple = ((3, 1),)
    position_ids: tuple | None = None
    seed: int = 0

    def ids(self):
        return torch.tensor(self.input_ids)

    def places(self):
        return None if self.position_ids is None else torch.tensor(self.position_ids)

    def tables(self):
        weight, bias = normal(self.seed + 1000, (D,)), normal(self.seed + 2000, (D,))
        norm = partial(F.layer_norm, normalized_shape=(D,), weight=weight, bias=bias, eps=1e-12)
        words = normal(self.seed, (V, D))
        return words, normal(self.seed + 3000, (LONGEST, D)), norm


def _rows(batch, length, largest):
    return st.tuples(*[st.tuples(*[st.integers(0, largest)] * length)] * batch)


@st.composite
def _cases(draw):
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    places = draw(st.none() | _rows(*shape, LONGEST - 1))
    return Case(draw(_rows(*shape, V - 1)), places, draw(st.integers(0, 99)))


CASES = _cases()
HARD = [
    Case(),
    Case((3, 1)),
    Case(((3, 1, 5), (5, 0, 4))),
    Case(((0, 0, 3, 1),), ((0, 0, 0, 1),)),
    Case(((3, 1),), ((7, 2),)),
]


def equals(answer, case):
    """Each token gets LayerNorm of its word's row plus its position's row."""
    ids, places = case.ids(), case.places()
    words, positions, norm = case.tables()
    counted = torch.arange(ids.shape[-1]).expand(ids.shape) if places is None else places
    pairs = zip(ids.flatten().tolist(), counted.flatten().tolist(), strict=True)
    rows = [norm(words[token] + positions[place]) for token, place in pairs]
    want = torch.stack(rows).view(*ids.shape, D)
    assert_close(answer.embed(ids, words, positions, norm, places), want)


def left_padding(answer, case):
    """Two tokens of padding on the left change nothing where position_ids start behind them."""
    tables, ids = case.tables(), case.ids()
    alone = ids.reshape(-1, ids.shape[-1])[:1]
    padded = F.pad(alone, (2, 0))
    places = (torch.arange(padded.shape[1]) - 2).clamp(min=0)[None]
    got = answer.embed(padded, *tables, places)[:, 2:]
    assert_close(got, answer.embed(alone, *tables))


LAWS = [Law(equals, CASES, HARD), Law(left_padding, CASES, [Case()])]
