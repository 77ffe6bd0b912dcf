"""Laws of the kernel behind `attention(q, k, v, mask)`: any mask, an empty one included."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import DEVICE, Law, assert_close, normal
from minidistil_kernels import reference

HINTS = [
    "exp(0 - m) is a weight as any other. Which score has the weight 0, whatever m is?",
    "In a first tile of masked keys m_new is -inf. What is s - m_new? Begin with a finite m.",
    "With no key at all l and acc are 0 at the end: divide by 1 where l is 0.",
]
WRONG = {
    "a masked key has the score 0": ('s, float("-inf"))', "s, 0.0)"),
    "the maximum begins at -inf": ("[BLOCK], -3.0e38,", '[BLOCK], float("-inf"),'),
    "without a key 0 is divided by 0": ("tl.where(l == 0.0, 1.0, l)", "l"),
    "the mask is taken for that of queries": ("keep[None, :], s,", "keep[:, None], s,"),
    "the mask is turned round": ("tl.where(keep[None, :], s,", "tl.where(~keep[None, :], s,"),
    "the maximum begins at 0": ("[BLOCK], -3.0e38,", "[BLOCK], 0.0,"),
}


@dataclass(frozen=True)
class Case:
    """Normal q, k and v of so many tokens; which of them count; scores near -121 if `low`."""

    length: int = 1
    kept: str = "all"
    low: bool = False
    seed: int = 0

    def inputs(self):
        q, k, v = normal(self.seed, (3, self.length, 16)).unbind()
        if self.low:
            q[:, 0], k[:, 0] = 22.0, -22.0
        order = torch.arange(self.length)
        mask = {
            "all": order >= 0,
            "none": order < 0,
            "from 16 on": order >= 16,
            "up to 16": order < 16,
            "some": normal(self.seed + 1000, (self.length,)) > 0,
        }[self.kept]
        return [x.to(DEVICE) for x in (q, k, v, mask)]


KINDS = ["all", "none", "from 16 on", "up to 16", "some"]
CASES = st.builds(
    Case,
    length=st.integers(1, 40),
    kept=st.sampled_from(KINDS),
    low=st.booleans(),
    seed=st.integers(0, 99),
)
HARD = [Case(), *(Case(20, kept) for kept in KINDS), Case(20, low=True)]


def equals(answer, case):
    """It is attention over the keys that count, and 0 where none does."""
    q, k, v, mask = case.inputs()
    want = reference.attention(*(x[None, None] for x in (q, k, v)), mask[None])[0, 0]
    # Scores of -121 are rounded to 1e-5.
    assert_close(answer.attention(q, k, v, mask), want, 1e-4)


def masked_unread(answer, case):
    """What a masked key and its value hold changes nothing, NaN included."""
    q, k, v, mask = case.inputs()
    want = answer.attention(q, k, v, mask)
    for x in (k, v):
        x[~mask] = torch.nan
    assert_close(answer.attention(q, k, v, mask), want)


LAWS = [Law(equals, CASES, HARD), Law(masked_unread, CASES, HARD)]
