"""Laws of `layer_norm(x, weight, bias)`: near 0, far from 0, narrow and wide dtypes."""

from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close

HINTS = [
    "Rows are the last axis: mean(-1, keepdim=True). First the mean, then the rest of x, squared.",
    "torch.promote_types(x.dtype, torch.float32) is float32 for bfloat16, and float64 for float64.",
    "centred * torch.rsqrt(variance + EPS), then weight and bias, then back to x.dtype.",
]
WRONG = {
    "the variance is divided by D - 1": (
        "centred.square().mean(-1, keepdim=True)",
        "wide.var(-1, keepdim=True)",
    ),
    "the mean of squares less the square of the mean": (
        "centred.square().mean(-1, keepdim=True)",
        "wide.square().mean(-1, keepdim=True) - wide.mean(-1, keepdim=True).square()",
    ),
    "EPS behind the root": ("torch.rsqrt(variance + EPS)", "1 / (variance.sqrt() + EPS)"),
    "no EPS": ("variance + EPS", "variance"),
    "one mean for all rows": ("wide.mean(-1, keepdim=True)", "wide.mean()"),
    "statistics in bfloat16": ("x.to(torch.promote_types(x.dtype, torch.float32))", "x"),
    "float64 becomes float32 on the way": (
        "torch.promote_types(x.dtype, torch.float32)",
        "torch.float32",
    ),
    "PyTorch's own is called": (
        "(normed * weight + bias).to(x.dtype)",
        "torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, EPS)",
    ),
}


@dataclass(frozen=True)
class Case:
    """Rows times `scale`, plus `shift`; weight is 1, 1.5, 2 ... and bias -1, 0, 1 ..."""

    rows: tuple = ((0, 1, 1),)
    scale: float = 1.0
    shift: float = 0.0
    dtype: torch.dtype = torch.float32

    def inputs(self):
        x = torch.tensor(self.rows, dtype=torch.float64) * self.scale + self.shift
        columns = torch.arange(x.shape[-1])
        return x.to(self.dtype), (1 + columns / 2).to(self.dtype), (columns - 1).to(self.dtype)


def _rows(width):
    # Rows of different numbers: of equal ones nothing is left but rounding, which EPS makes large.
    row = st.tuples(*[st.integers(-4, 4)] * width).filter(lambda numbers: len({*numbers}) > 1)
    return st.lists(row, min_size=1, max_size=3).map(tuple)


ROWS = st.integers(2, 5).flatmap(_rows)
NEAR = st.builds(Case, ROWS, scale=st.sampled_from([1.0, 1e-6]))
FAR = st.builds(Case, ROWS, shift=st.just(1000.0))
NARROW = st.builds(Case, ROWS, shift=st.sampled_from([100.0, 0.0]), dtype=st.just(torch.bfloat16))
WIDE = st.builds(Case, ROWS, dtype=st.just(torch.float64))
HARD = [
    Case(),
    Case((0, 1)),
    Case((5,)),
    Case(((2, 2),)),
    Case(((0, 1), (5, 9))),
    Case((((0, 1), (5, 9)), ((1, 0), (2, 7)))),
    Case(((0, 1),), scale=1e-6),
]


@contextmanager
def _by_hand():
    def refuse(*_, **__):
        raise AssertionError("PyTorch's layer_norm is called: take mean and variance by hand")

    with patch("torch.layer_norm", refuse), patch("torch.native_layer_norm", refuse):
        yield


def _compare(answer, case, tolerance):
    x, weight, bias = case.inputs()
    exact = F.layer_norm(x.double(), weight.shape, weight.double(), bias.double(), eps=1e-12)
    with _by_hand():
        got = answer.layer_norm(x, weight, bias)
    assert_close(got, exact.to(case.dtype), tolerance)


def equals(answer, case):
    """It is the formula of the task, row by row, also for tiny numbers and for equal ones."""
    _compare(answer, case, 1e-5)


def far_from_zero(answer, case):
    """A row around 1,000 is normalised to three digits at least."""
    _compare(answer, case, 1e-3)


def narrow(answer, case):
    """In bfloat16 only the result is rounded, not the mean and the variance."""
    _compare(answer, case, 0.05)


def wide(answer, case):
    """In float64 ten digits are right."""
    _compare(answer, case, 1e-10)


LAWS = [
    Law(equals, NEAR, HARD),
    Law(far_from_zero, FAR, [Case(shift=1000.0)]),
    Law(narrow, NARROW, [Case(shift=100.0, dtype=torch.bfloat16)]),
    Law(wide, WIDE, [Case(dtype=torch.float64)]),
]
