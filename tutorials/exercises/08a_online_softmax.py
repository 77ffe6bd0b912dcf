"""Laws of `weighted_sum(logits, values, block)`: any order of logits, any block, one pass."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal

HINTS = [
    "Try logits [0, 1] with block=1: after the second block, relative to which m is the first p?",
    "exp(x - new_m) = exp(x - m) * exp(m - new_m): what was summed is off by the last factor.",
    "Both sums need it: l, and acc.",
]
WRONG = {
    "nothing is rescaled": ("rescale = (m - new_m).exp()", "rescale = 1.0"),
    "the sum of weights is not rescaled": ("l = l * rescale", "l = l"),
    "the weighted sum is not rescaled": ("acc = acc * rescale", "acc = acc"),
    "rescaled the wrong way round": ("(m - new_m).exp()", "(new_m - m).exp().clamp(max=1e30)"),
    "the maximum is that of the block": ("torch.maximum(m, x.max())", "x.max()"),
    "no maximum at all": ("new_m = torch.maximum(m, x.max())", "new_m = torch.tensor(0.0)"),
}


@dataclass(frozen=True)
class Case:
    """Logits that rise by `step` from each to the next, plus a little noise."""

    length: int = 2
    block: int = 1
    step: float = 1.0
    shift: float = 0.0
    seed: int = 0

    def inputs(self):
        rising = torch.arange(self.length) * self.step + self.shift
        return rising + normal(self.seed, (self.length,)) * 0.1, normal(self.seed, (self.length, 3))


CASES = st.builds(
    Case,
    length=st.integers(1, 12),
    block=st.integers(1, 5),
    step=st.sampled_from([1.0, -1.0, 0.0, 20.0, -20.0]),
    shift=st.sampled_from([0.0, 500.0, -500.0]),
    seed=st.integers(0, 99),
)


def equals(answer, case):
    """It is softmax(logits) @ values."""
    logits, values = case.inputs()
    assert_close(answer.weighted_sum(logits, values, case.block), logits.softmax(0) @ values)


def any_block(answer, case):
    """The size of the blocks changes nothing but rounding."""
    logits, values = case.inputs()
    assert_close(
        answer.weighted_sum(logits, values, case.block), answer.weighted_sum(logits, values, 100)
    )


LAWS = [Law(equals, CASES, [Case(), Case(12, 5, -20.0)]), Law(any_block, CASES)]
