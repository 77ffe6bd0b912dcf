"""Laws of `softmax_backward(y, g)`: autograd's numbers, without autograd."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal, without_autograd

HINTS = [
    "Only y_i itself and all y_j through the sum depend on x_i: that is the two terms.",
    "delta = (y * g).sum(-1, keepdim=True), one number for each row.",
]
WRONG = {
    "the sum is left out": ("g - delta", "g"),
    "the sum is not weighted": ("(y * g).sum(", "g.sum("),
    "one sum for all rows": ("(y * g).sum(-1, keepdim=True)", "(y * g).sum()"),
    "y is left out in front": ("return y * (g - delta)", "return g - delta"),
}


@dataclass(frozen=True)
class Case:
    """Normal logits and gradient of this shape."""

    shape: tuple[int, ...] = (2, 3)
    scale: float = 1.0
    seed: int = 0

    def inputs(self):
        x = normal(self.seed, self.shape) * self.scale
        return x, normal(self.seed + 1000, self.shape)


CASES = st.builds(
    Case,
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    scale=st.sampled_from([1.0, 10.0]),
    seed=st.integers(0, 99),
)


def equals(answer, case):
    """It is what autograd computes."""
    x, g = case.inputs()
    x.requires_grad_()
    (want,) = torch.autograd.grad(x.softmax(-1), x, g)
    with without_autograd():
        got = answer.softmax_backward(x.detach().softmax(-1), g)
    assert_close(got, want)


def shift(answer, case):
    """Each row of the result sums to 0: adding a constant to the logits changes nothing."""
    x, g = case.inputs()
    dx = answer.softmax_backward(x.softmax(-1), g)
    assert_close(dx.sum(-1), torch.zeros(case.shape[:-1]))


LAWS = [Law(equals, CASES, [Case()]), Law(shift, CASES)]
