"""Laws of `softmax(x)`: any logits, any axes in front."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal

HINTS = [
    "Which number, taken from every logit of a row, makes the largest of them 0?",
    "The rows are the last axis: amax and sum need -1, and keepdim=True so that they broadcast.",
]
WRONG = {
    "large logits overflow": ("x - x.amax(-1, keepdim=True)", "x"),
    "one maximum for all rows": ("x.amax(-1, keepdim=True)", "x.amax()"),
    "columns instead of rows": ("weights.sum(-1, keepdim=True)", "weights.sum(0, keepdim=True)"),
    "no exponential": ("shifted.exp()", "shifted + 1"),
}


@dataclass(frozen=True)
class Case:
    """Normal logits of this shape, times `scale`, plus `shift`."""

    shape: tuple[int, ...] = (2, 3)
    scale: float = 1.0
    shift: float = 0.0
    seed: int = 0

    def x(self):
        return normal(self.seed, self.shape) * self.scale + self.shift


CASES = st.builds(
    Case,
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    scale=st.sampled_from([1.0, 0.01, 30.0]),
    shift=st.sampled_from([0.0, 1000.0, -1000.0]),
    seed=st.integers(0, 99),
)


def equals(answer, case):
    """It is PyTorch's softmax over the last axis."""
    x = case.x()
    assert_close(answer.softmax(x), x.softmax(-1))


def far_rows(answer, case):
    """A row far below the others keeps its weights."""
    x = torch.stack([case.x().flatten(), case.x().flatten() - 5000.0])
    assert_close(answer.softmax(x), x.softmax(-1))


LAWS = [Law(equals, CASES, [Case((4,)), Case((1, 3), shift=1000.0)]), Law(far_rows, CASES)]
