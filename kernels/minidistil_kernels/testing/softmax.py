"""The laws of a masked row softmax: `softmax(x, mask=None)`.

Not here: how laws are tried (`report.py`), the laws of every operation (`common.py`).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st

from minidistil_kernels import reference
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import (
    FLOOR,
    assert_accurate,
    differentiate,
    measure,
    upstream_of,
)
from minidistil_kernels.testing.common import Operation, check, common_laws
from minidistil_kernels.testing.report import Law, Report


@dataclass(frozen=True)
class Case:
    """Rows of normal numbers, and a mask: for each place, or broadcast over rows or columns."""

    rows: int = 4
    length: int = 100
    dtype: torch.dtype = torch.float32
    mask: str = "random"
    scale: float = 1.0
    axes: int = 2
    broadcast: str = "none"
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `softmax`."""
        shape = drawing.shape(self.axes, self.rows, self.length)
        # Of (R, 2, N) the mask is (R, 1, N), which no flattening serves; of (R, N) it is (N,); or
        # it has one place for each row.
        between = (1,) * (self.axes - 2)
        over_rows = (self.rows, *between, self.length) if between else (self.length,)
        shapes = {"none": shape, "rows": over_rows, "columns": (*shape[:-1], 1)}
        return {
            "x": drawing.normal(self.seed, shape, self.dtype, self.scale),
            "mask": drawing.mask(self.seed, self.mask, shapes[self.broadcast]),
        }


CASES = st.builds(
    Case,
    rows=st.integers(1, 5),
    length=st.integers(1, 150),
    dtype=drawing.DTYPES,
    mask=drawing.MASKS,
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    axes=drawing.AXES,
    broadcast=st.sampled_from(["none", "rows", "columns"]),
    seed=drawing.SEEDS,
)
HARD = (
    Case(2, 1100),  # longer than DistilBERT's longest text, and than a power of two
    Case(length=33, dtype=torch.float16, axes=1),
    Case(3, 9, broadcast="rows"),
    Case(2, 7, torch.bfloat16, axes=3, broadcast="rows"),
    Case(3, 6, broadcast="columns"),
    Case(1, 5, axes=4, broadcast="rows"),
)
MANY = (Case(130, 5),)


def sums_to_one(fn: Operation, case: Case) -> None:
    """Every row sums to 1, or to 0 where nothing is left; masked places are 0."""
    inputs = case.inputs()
    y = fn(**inputs).double()
    allowed = torch.ones_like(y, dtype=torch.bool)
    if inputs["mask"] is not None:
        allowed = inputs["mask"].expand_as(y)
    expected = allowed.any(-1).double()
    # Exponentials and their sum are float32; then each of N weights is rounded, to a relative
    # eps / 2 or to the spacing of the smallest.
    rounding = torch.finfo(case.dtype)
    bound = FLOOR[torch.float32] + rounding.eps + case.length * rounding.smallest_normal
    assert ((y.sum(-1) - expected).abs() <= bound).all(), f"rows sum to {y.sum(-1).tolist()}"
    assert (y[~allowed] == 0).all(), "a masked place has a weight other than 0"


def empty_row(fn: Operation, case: Case) -> None:
    """A row with nothing left is 0, and so is its gradient."""
    inputs = replace(case, mask="one row empty").inputs()
    x = inputs["x"].requires_grad_()
    y = fn(**inputs)
    (dx,) = differentiate(y, [x], upstream_of(y))
    row, slope = (tensor.reshape(-1, case.length)[0] for tensor in (y, dx))
    assert (row == 0).all(), f"the empty row is {row.tolist()}"
    assert (slope == 0).all(), f"the gradient of the empty row is {slope.tolist()}"


def shift_invariant(fn: Operation, case: Case) -> None:
    """Adding a constant to a row changes nothing but rounding."""
    inputs = case.inputs()
    # Small integers and their sums with 64 are exact in every dtype.
    x = inputs["x"].clamp(-64, 64).round()
    change = (fn(x + 64.0, inputs["mask"]) - fn(x, inputs["mask"])).abs().max()
    assert change <= FLOOR[case.dtype], f"softmax(x + 64) differs from softmax(x) by {change:.1e}"


def extreme(fn: Operation, case: Case) -> None:
    """Logits of +-10,000 neither overflow nor underflow."""
    inputs = case.inputs()
    inputs["x"] = inputs["x"].sign() * 1e4
    assert_accurate(measure(fn, reference.softmax, reference.softmax, inputs, ["x"]))


def nan_stays(fn: Operation, case: Case) -> None:
    """NaN stays in its row: it changes no other and is not lost."""
    inputs = case.inputs()
    if inputs["mask"] is not None:
        inputs["mask"][..., 0] = True
    clean = fn(**inputs).reshape(-1, case.length)
    inputs["x"].view(-1, case.length)[-1, 0] = float("nan")
    y = fn(**inputs).reshape(-1, case.length)
    assert torch.equal(y[:-1], clean[:-1]), "NaN in one row changed another"
    assert y[-1].isnan().any(), "NaN in a row that counts was lost"


LAWS = [
    *common_laws(reference.softmax, ["x"], ["x"], CASES, HARD, MANY),
    *(
        Law(law, CASES, HARD)
        for law in (sums_to_one, empty_row, shift_invariant, extreme, nan_stays)
    ),
]


def check_softmax(fn: Operation, examples: int = 20) -> Report:
    """Try every law of `softmax(x, mask=None)` on `fn`, and measure its errors.

    Args:
        fn: Anybody's function; its result is differentiated.
        examples: Random cases a law.
    """
    return check(reference.softmax, ["x"], LAWS, Case(8, 512), fn, examples)
