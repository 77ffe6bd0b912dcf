"""The laws of `linear_gelu(x, weight, bias)`.

Not here: how laws are tried (`report.py`), the laws of every operation (`common.py`).
"""

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

from minidistil_kernels import reference
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import assert_accurate, measure
from minidistil_kernels.testing.common import Operation, check, common_laws
from minidistil_kernels.testing.report import Law, Report

DIFFERENTIABLE = ("x", "weight", "bias")


@dataclass(frozen=True)
class Case:
    """Normal rows, and a weight that lets neither them nor their gradients grow.

    A sum much larger than its terms, or smaller, is off by their rounding, in PyTorch by luck less.
    """

    rows: int = 4
    width: int = 64
    outputs: int = 100
    dtype: torch.dtype = torch.float32
    axes: int = 2
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `linear_gelu`."""
        of_x = drawing.shape(self.axes, self.rows, self.width)
        of_weight, scale = (self.outputs, self.width), max(self.outputs, self.width) ** -0.5
        return {
            "x": drawing.normal(self.seed, of_x, self.dtype),
            "weight": drawing.normal(self.seed + 1, of_weight, self.dtype, scale),
            "bias": drawing.normal(self.seed + 2, (self.outputs,), self.dtype),
        }


CASES = st.builds(
    Case,
    rows=st.integers(1, 9) | st.sampled_from([64, 65]),
    width=st.integers(1, 80),
    # Of one number alone the slope of GELU may be 0, and all that is computed of it rounding.
    outputs=st.integers(4, 70) | st.sampled_from([128, 129]),
    dtype=drawing.DTYPES,
    axes=drawing.AXES,
    seed=drawing.SEEDS,
)
HARD = (
    Case(width=33, outputs=17, dtype=torch.float16, axes=1),
    Case(2, 20, 33, torch.bfloat16, axes=3),
    Case(3, 5, 1),
    Case(1, 6, 5, axes=4),
)
MANY = (Case(130, 200, 129), Case(300, 5, 7))  # beyond what tiles of 64 or 128 hold


def extreme(fn: Operation, case: Case) -> None:
    """At +-10,000 GELU is the identity and 0, and its slope 1 and 0."""
    inputs = case.inputs()
    inputs["bias"] = inputs["bias"].sign() * 1e4
    errors = measure(fn, reference.linear_gelu, reference.linear_gelu, inputs, DIFFERENTIABLE)
    assert_accurate(errors)


def nan_stays(fn: Operation, case: Case) -> None:
    """NaN stays in its row: it changes no other and is not lost."""
    inputs = case.inputs()
    clean = fn(**inputs).reshape(-1, case.outputs)
    inputs["x"].view(-1, case.width)[-1, 0] = float("nan")
    y = fn(**inputs).reshape(-1, case.outputs)
    assert torch.equal(y[:-1], clean[:-1]), "NaN in one row changed another"
    assert y[-1].isnan().all(), "NaN was lost"


LAWS = [
    *common_laws(reference.linear_gelu, DIFFERENTIABLE, ["x", "weight"], CASES, HARD, MANY),
    *(Law(law, CASES, HARD) for law in (extreme, nan_stays)),
]


def check_linear_gelu(fn: Operation, examples: int = 20) -> Report:
    """Try every law of `linear_gelu` on `fn`, and measure its errors at D = 768.

    Args:
        fn: Anybody's function; its result is differentiated.
        examples: Random cases a law.
    """
    case = Case(64, 768, 256)
    return check(reference.linear_gelu, DIFFERENTIABLE, LAWS, case, fn, examples)
