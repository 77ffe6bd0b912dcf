"""Laws of the kernel behind `add_layer_norm(x, residual, weight, bias, eps)`."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import DEVICE, Law, assert_close, normal, traffic
from minidistil_kernels import reference

HINTS = [
    "Load both rows with other=0.0, turn them into float32, and add them; the mean is tl.sum / D.",
    "Once the mean is off, put 0 back into the lanes past the end: tl.where(inside, ..., 0.0).",
    "The variance is the sum of their squares / D; tl.rsqrt(variance + eps) is one over the root.",
]
WRONG = {
    "masked lanes enter the variance": (
        "tl.where(inside, total - tl.sum(total, 0) / D, 0.0)",
        "total - tl.sum(total, 0) / D",
    ),
    "masked lanes of x are undefined": (
        "(x_ptr + row * D + offs, mask=inside, other=0.0)",
        "(x_ptr + row * D + offs, mask=inside)",
    ),
    "the mean is over the lanes": ("tl.sum(total, 0) / D", "tl.sum(total, 0) / BLOCK"),
    "the variance is divided by D - 1": (
        "tl.sum(deviation * deviation, 0) / D",
        "tl.sum(deviation * deviation, 0) / (D - 1)",
    ),
    "eps is added to the root": (
        "tl.rsqrt(variance + eps)",
        "(1 / (tl.sqrt(variance) + eps))",
    ),
    "the sum is in half precision": (
        "total = x + residual",
        "total = (x + residual).to(x_ptr.dtype.element_ty)",
    ),
    "the residual is left out": ("total = x + residual", "total = x"),
    "x is loaded twice": (
        "total = x + residual",
        "total = residual + tl.load(x_ptr + row * D + offs, mask=inside, other=0.0)",
    ),
}


@dataclass(frozen=True)
class Case:
    """Normal rows plus `shift`, all times `scale`; normal weight and bias."""

    rows: int = 2
    width: int = 3
    scale: float = 1.0
    shift: float = 0.0
    eps: float = 1e-12
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def inputs(self):
        x, residual = (normal(self.seed, (2, self.rows, self.width)) + self.shift) * self.scale
        weight, bias = normal(self.seed + 1000, (2, self.width))
        return [t.contiguous().to(DEVICE, self.dtype) for t in (x, residual, weight, bias)]


CASES = st.builds(
    Case,
    rows=st.integers(1, 4),
    width=st.integers(3, 40),
    scale=st.sampled_from([1.0, 300.0]),
    shift=st.sampled_from([0.0, 5.0]),
    eps=st.sampled_from([1e-12, 0.1]),
    dtype=st.sampled_from([torch.float32, torch.float16]),
    seed=st.integers(0, 99),
)
HARD = [
    Case(),
    Case(shift=5.0),
    Case(eps=0.1),
    Case(width=40, scale=300.0, shift=5.0, dtype=torch.float16),
    Case(width=1),
    Case(width=32),
]


def equals(answer, case):
    """It is LayerNorm(x + residual), with float32 statistics."""
    inputs = case.inputs()
    want = reference.add_layer_norm(*inputs, case.eps)
    # One unit in the last place of float16 is 1e-3.
    tolerance = 1e-4 if case.dtype == torch.float32 else 2e-3
    assert_close(answer.add_layer_norm(*inputs, case.eps), want, tolerance)


def least_bytes(answer, case):
    """A row is loaded once of x, residual, weight and bias, and stored once of y (counted)."""
    inputs = case.inputs()
    count = traffic(answer.add_layer_norm, *inputs, case.eps)
    if count is not None:
        row = inputs[0].nbytes
        assert count == (4 * row, row), (
            f"{count[0]} bytes read, {count[1]} written; {4 * row} and {row} will do"
        )


LAWS = [Law(equals, CASES, HARD), Law(least_bytes, CASES, [Case()])]
