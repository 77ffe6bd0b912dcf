"""Laws of `spared`, `dropout` and `dropout_backward`: one mask, drawn whenever it is needed."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal
from minidistil_kernels import philox

HINTS = [
    "Rows first, first + 1, ... as a column, columns 0, 1, ... as a row: they broadcast to a tile.",
    "philox.uniform takes four tensors: torch.tensor(seed), torch.tensor(0), rows, columns.",
    "torch.where(spared(...), x / (1 - p), 0.0), and in the backward pass the same for dy.",
]
WRONG = {
    "the others are not scaled up": ("x / (1 - p)", "x"),
    "the gradient is not scaled up": ("dy / (1 - p)", "dy"),
    "scaled by the share that is struck out": ("x / (1 - p)", "x / max(p, 1e-3)"),
    "the other elements are kept": ("i, j) >= p", "i, j) < p"),
    "every tile begins at row 0": ("first + torch.arange(shape[0])", "torch.arange(shape[0])"),
    "the backward pass draws anew": (
        "spared(dy.shape, p, seed, first)",
        "spared(dy.shape, p, seed + 1, first)",
    ),
    "one number for each row": ("j = torch.arange(shape[1])", "j = torch.zeros_like(i)"),
}


@dataclass(frozen=True)
class Case:
    """A normal matrix; its rows from `first` on are a tile of their own."""

    rows: int = 2
    columns: int = 3
    p: float = 0.5
    first: int = 1
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def x(self):
        return normal(self.seed, (self.rows, self.columns), self.dtype)

    def kept(self):
        i, j = torch.arange(self.rows)[:, None], torch.arange(self.columns)
        return philox.uniform(torch.tensor(self.seed), torch.tensor(0), i, j) >= self.p


CASES = st.builds(
    Case,
    rows=st.integers(2, 5),
    columns=st.integers(1, 5),
    p=st.sampled_from([0.5, 0.0, 0.1, 0.9]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
HARD = [Case(8, 8, first=3), Case(8, 8, p=0.0)]


def forward(answer, case):
    """What philox.uniform draws below p is 0, and the rest is divided by 1 - p."""
    x = case.x()
    assert_close(answer.spared(case.x().shape, case.p, case.seed), case.kept())
    want = (x / (1 - case.p)).masked_fill(~case.kept(), 0.0)
    assert_close(answer.dropout(x, case.p, case.seed), want)


def backward(answer, case):
    """The gradient is struck out where x was, and scaled likewise."""
    x = case.x().requires_grad_()
    y = (x / (1 - case.p)).masked_fill(~case.kept(), 0.0)
    dy = normal(case.seed + 1000, (case.rows, case.columns), case.dtype)
    (want,) = torch.autograd.grad(y, x, dy)
    assert_close(answer.dropout_backward(dy, case.p, case.seed), want)


def tiles(answer, case):
    """In two tiles the result is that of the whole, forward and backward."""
    x, first = case.x(), case.first
    for step in (answer.dropout, answer.dropout_backward):
        parts = [step(x[:first], case.p, case.seed), step(x[first:], case.p, case.seed, first)]
        assert_close(torch.cat(parts), step(x, case.p, case.seed))


LAWS = [Law(forward, CASES, HARD), Law(backward, CASES, HARD), Law(tiles, CASES, HARD)]
