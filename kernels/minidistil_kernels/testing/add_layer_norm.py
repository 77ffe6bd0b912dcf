"""The laws of `add_layer_norm(x, residual, weight, bias, eps=1e-12)`.

Not here: how laws are tried (`report.py`), the laws of every operation (`common.py`).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st

from minidistil_kernels import reference
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import FLOOR
from minidistil_kernels.testing.common import Operation, check, common_laws
from minidistil_kernels.testing.report import Law, Report

DIFFERENTIABLE = ("x", "residual", "weight", "bias")


@dataclass(frozen=True)
class Case:
    """Rows of normal numbers around a mean, a weight around 1 and a bias."""

    rows: int = 4
    width: int = 100
    dtype: torch.dtype = torch.float32
    mean: float = 0.0
    eps: float = 1e-12
    axes: int = 2
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `add_layer_norm`."""
        shape = drawing.shape(self.axes, self.rows, self.width)
        return {
            "x": drawing.normal(self.seed, shape, self.dtype) + self.mean,
            "residual": drawing.normal(self.seed + 1, shape, self.dtype),
            "weight": drawing.normal(self.seed + 2, (self.width,), self.dtype) + 1,
            "bias": drawing.normal(self.seed + 3, (self.width,), self.dtype),
        } | drawing.options(reference.add_layer_norm, eps=self.eps)


CASES = st.builds(
    Case,
    rows=st.integers(1, 5),
    # One or two elements are normalised to 0 or +-1 whatever they are: the gradient is rounding.
    width=st.integers(3, 150),
    dtype=drawing.DTYPES,
    mean=st.sampled_from([0.0, 8.0]),
    eps=st.sampled_from([1e-12, 1e-5, 0.1]),
    axes=drawing.AXES,
    seed=drawing.SEEDS,
)
HARD = (
    Case(2, 1030, eps=0.1),
    Case(width=33, dtype=torch.float16, axes=1),
    Case(2, 50, torch.bfloat16, axes=3),
    Case(1, 6, axes=4),
)
MANY = (Case(260, 5),)  # their sum is the gradient of the weight


def mean_0_variance_1(fn: Operation, case: Case) -> None:
    """With weight 1 and bias 0 every row has mean 0 and variance 1."""
    inputs = replace(case, eps=1e-12).inputs()
    inputs["weight"], inputs["bias"] = inputs["weight"] * 0 + 1, inputs["bias"] * 0
    y = fn(**inputs).double()
    # Where a row hardly varies, the rounding of its sum is divided by that little.
    total = inputs["x"].double() + inputs["residual"].double()
    deviation = total.std(-1, correction=0)
    slack = 2 * FLOOR[case.dtype] * (y.abs() + total.abs() / deviation[..., None]).amax(-1)
    assert (y.mean(-1).abs() <= slack).all(), f"means {y.mean(-1).tolist()}"
    variance = y.var(-1, correction=0)
    bound = 2 * slack * y.abs().amax(-1)
    assert ((variance - 1).abs() <= bound).all(), f"variances {variance.tolist()}"


def symmetric(fn: Operation, case: Case) -> None:
    """Input and residual are interchangeable."""
    inputs = case.inputs()
    swapped = inputs | {"x": inputs["residual"], "residual": inputs["x"]}
    assert torch.equal(fn(**swapped), fn(**inputs)), "x + residual is not residual + x"


def nan_stays(fn: Operation, case: Case) -> None:
    """NaN stays in its row: it changes no other and is not lost."""
    inputs = case.inputs()
    clean = fn(**inputs).reshape(-1, case.width)
    inputs["x"].view(-1, case.width)[-1, 0] = float("nan")
    y = fn(**inputs).reshape(-1, case.width)
    assert torch.equal(y[:-1], clean[:-1]), "NaN in one row changed another"
    assert y[-1].isnan().all(), "NaN was lost"


LAWS = [
    *common_laws(reference.add_layer_norm, DIFFERENTIABLE, ["x", "residual"], CASES, HARD, MANY),
    *(Law(law, CASES, HARD) for law in (mean_0_variance_1, symmetric, nan_stays)),
]


def check_add_layer_norm(fn: Operation, examples: int = 20) -> Report:
    """Try every law of `add_layer_norm` on `fn`, and measure its errors at D = 768.

    Args:
        fn: Anybody's function; its result is differentiated.
        examples: Random cases a law.
    """
    return check(reference.add_layer_norm, DIFFERENTIABLE, LAWS, Case(8, 768), fn, examples)
