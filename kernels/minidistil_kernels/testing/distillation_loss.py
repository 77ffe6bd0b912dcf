"""The laws of `distillation_loss(student, teacher, labels=None, *, temperature, ...)`.

Not here: how laws are tried (`report.py`), the laws of every operation (`common.py`).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from minidistil_kernels import reference
from minidistil_kernels.testing import cross_entropy, drawing
from minidistil_kernels.testing.accuracy import FLOOR, assert_accurate, differentiate, measure
from minidistil_kernels.testing.common import Operation, check, common_laws
from minidistil_kernels.testing.report import Law, Report


@dataclass(frozen=True)
class Case:
    """Rows of normal logits of student and teacher; a share of the labels is -100, ignored."""

    rows: int = 4
    classes: int = 100
    labelled: bool = True
    temperature: float = 2.0
    dtype: torch.dtype = torch.float32
    scale: float = 1.0
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `distillation_loss`."""
        shape, spread = (self.rows, self.classes), max(self.temperature, 1.0)
        labels = cross_entropy.Case(self.rows, self.classes, seed=self.seed).labels()
        return {
            # Spread with the temperature: else p and q are near 1/V and their divergence rounding.
            "student": drawing.normal(self.seed, shape, self.dtype, self.scale * spread),
            "teacher": drawing.normal(self.seed + 1, shape, self.dtype, self.scale * spread),
        } | drawing.options(
            reference.distillation_loss,
            labels=labels if self.labelled else None,
            temperature=self.temperature,
        )


CASES = st.builds(
    Case,
    rows=st.integers(1, 6),
    classes=st.integers(1, 150),
    labelled=st.booleans(),
    temperature=st.sampled_from([0.5, 1.0, 2.0, 8.0]),
    dtype=drawing.DTYPES,
    scale=st.sampled_from([0.3, 1.0, 5.0]),
    seed=drawing.SEEDS,
)
HARD = (
    Case(2, 5000),  # logits in several tiles, the last not full
    Case(1, 1, temperature=0.5, dtype=torch.bfloat16),
    Case(2, 30, labelled=False, dtype=torch.float16),
)
MANY = (Case(130, 3), Case(0, 3))


def adds_up(fn: Operation, case: Case) -> None:
    """The total is 5 ce + 2 mlm, or what the weights say, and so is the gradient."""
    inputs = case.inputs()
    twin = reference.distillation_loss
    for weights in ({}, {"alpha_ce": 0.5, "alpha_mlm": 0.0}, {"alpha_ce": 0.0, "alpha_mlm": 3.0}):
        total, ce, mlm = fn(**inputs, **weights)
        a, b = weights.get("alpha_ce", 5.0), weights.get("alpha_mlm", 2.0)
        assert abs(total - a * ce - b * mlm) <= 4 * FLOOR[torch.float32] * (abs(total) + 1), (
            f"{float(total)} is not {a} x {float(ce)} + {b} x {float(mlm)}"
        )
        assert_accurate(measure(fn, twin, twin, inputs | weights, ["student"]))


def nothing_left_to_learn(fn: Operation, case: Case) -> None:
    """A student equal to its teacher has divergence 0, and no gradient from it."""
    inputs: dict[str, Any] = case.inputs() | {"labels": None}
    inputs["student"] = inputs["teacher"].clone().requires_grad_()
    total, ce, mlm = fn(**inputs)
    # A sum over V of p (log p - log q), each rounded: |log p| reaches 2 x scale x 4 / T.
    slack = 10 * FLOOR[torch.float32] * case.temperature**2 * (1 + case.scale / case.temperature)
    assert abs(ce) <= slack and mlm == 0, f"ce {ce.item()}, mlm {mlm.item()}"
    (gradient,) = differentiate(total, [inputs["student"]])
    assert (gradient.abs() <= 10 * FLOOR[torch.float32] * case.temperature).all(), (
        f"the gradient reaches {float(gradient.abs().max()):.1e}"
    )


def never_negative(fn: Operation, case: Case) -> None:
    """A divergence is never negative (but for rounding)."""
    inputs = case.inputs()
    ce = fn(**inputs)[1]
    slack = 10 * FLOOR[torch.float32] * case.temperature**2 * (1 + case.scale / case.temperature)
    assert ce >= -slack, f"ce = {float(ce)}"


def extreme(fn: Operation, case: Case) -> None:
    """Logits of +-10,000, equal or opposite, neither overflow nor give NaN."""
    inputs = case.inputs()
    for name in ("student", "teacher"):
        inputs[name] = inputs[name].sign() * 1e4
    twin = reference.distillation_loss
    assert_accurate(measure(fn, twin, twin, inputs, ["student"]))


def nan_stays(fn: Operation, case: Case) -> None:
    """NaN in one row makes the loss NaN, and the gradient of that row only."""
    for name in ("student", "teacher"):
        inputs = case.inputs()
        inputs[name][-1, 0] = float("nan")
        total = fn(**inputs | {"student": inputs["student"].requires_grad_()})[0]
        assert total.isnan(), f"NaN in the {name} was lost"
        (gradient,) = differentiate(total, [inputs["student"]])
        assert not gradient[:-1].isnan().any(), "NaN in one row reached the gradient of another"


def impossible_class(fn: Operation, case: Case) -> None:
    """A class to which the teacher gives -inf, p = 0, adds nothing: 0 * log 0 is 0 here."""
    inputs = replace(case, classes=case.classes + 1).inputs()
    inputs["teacher"][:, 0] = -torch.inf
    twin = reference.distillation_loss

    def finite(teacher: Tensor, **rest: Any) -> tuple[Tensor, ...]:
        # So low that p is 0 in every dtype, and 0 times the logarithm of it finite.
        return twin(teacher=teacher.masked_fill(teacher == -torch.inf, -6e4), **rest)

    assert_accurate(measure(fn, finite, finite, inputs, ["student"]))


def teacher_is_constant(fn: Operation, case: Case) -> None:
    """No gradient reaches the teacher."""
    inputs = case.inputs()
    student, teacher = (inputs[name].requires_grad_() for name in ("student", "teacher"))
    total = fn(**inputs)[0]
    _, gradient = differentiate(total, [student, teacher])
    assert (gradient == 0).all(), "the teacher has a gradient"


def only_the_total_learns(fn: Operation, case: Case) -> None:
    """`ce` and `mlm` are there to be shown: only the total has a gradient."""
    inputs = case.inputs()
    inputs["student"].requires_grad_()
    for name, loss in zip(("ce", "mlm"), fn(**inputs)[1:], strict=True):
        assert not loss.requires_grad, f"{name} has a gradient"


LAWS = [
    *common_laws(
        reference.distillation_loss,
        ["student"],
        ["student", "teacher"],
        CASES,
        HARD,
        MANY,
        loss=True,
    ),
    *(
        Law(law, CASES, HARD)
        for law in (
            adds_up,
            nothing_left_to_learn,
            never_negative,
            extreme,
            nan_stays,
            impossible_class,
            teacher_is_constant,
            only_the_total_learns,
        )
    ),
]


def check_distillation_loss(fn: Operation, examples: int = 20) -> Report:
    """Try every law of `distillation_loss` on `fn`, and measure its errors at V = 3000.

    Args:
        fn: Anybody's function; the first of its three results is differentiated.
        examples: Random cases a law.
    """
    case = Case(8, 3000, scale=3.0)
    return check(reference.distillation_loss, ["student"], LAWS, case, fn, examples)
