"""Laws of the kernel behind `attention(q, k, v, length)`: any number of keys."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import DEVICE, Law, assert_close, normal

HINTS = [
    "17 keys are two tiles. What of the first tile is still in l and in acc after the second?",
    "Both were summed relative to the old m. exp(s - m_new) = exp(s - m) * exp(m - m_new).",
    "alpha is exp(m - m_new), one number a query; compare how l and acc take it in.",
]
WRONG = {
    "acc is not rescaled": ("acc * alpha[:, None] + tl.dot", "acc + tl.dot"),
    "the sum of weights is not rescaled": ("l * alpha + tl.sum", "l + tl.sum"),
    "rescaled the wrong way round": ("tl.exp(m - m_new)", "tl.exp(m_new - m)"),
    "columns are rescaled, not rows": ("acc * alpha[:, None]", "acc * alpha[None, :]"),
    "the new tile is rescaled, too": (
        'acc * alpha[:, None] + tl.dot(p, v, input_precision="ieee")',
        '(acc + tl.dot(p, v, input_precision="ieee")) * alpha[:, None]',
    ),
    "m stays where it began": ("        m = m_new", "        m = m"),
}


@dataclass(frozen=True)
class Case:
    """Normal q, k and v of length + padding tokens; what is padding in k and v is NaN."""

    length: int = 1
    padding: int = 0
    seed: int = 0

    def inputs(self):
        q, k, v = normal(self.seed, (3, self.length + self.padding, 16)).unbind()
        for x in (k, v):
            x[self.length :] = torch.nan
        return [x.to(DEVICE) for x in (q, k, v)]


CASES = st.builds(
    Case, length=st.integers(1, 40), padding=st.sampled_from([0, 3, 20]), seed=st.integers(0, 99)
)
HARD = [Case(), Case(40), Case(33, padding=3)]


def equals(answer, case):
    """It is softmax(q k^T / 4) v over the keys that count."""
    q, k, v = case.inputs()
    weights = (q @ k[: case.length].mT / 4).softmax(-1)
    assert_close(answer.attention(q, k, v, case.length), weights @ v[: case.length])


def is_a_mean(answer, case):
    """Where all values are 1, so is the context: it is a mean of them."""
    q, k, _ = case.inputs()
    ones = torch.ones_like(q)
    assert_close(answer.attention(q, k, ones, case.length), ones)


LAWS = [Law(equals, CASES, HARD), Law(is_a_mean, CASES, HARD)]
