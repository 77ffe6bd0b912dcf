"""The laws of `cosine_loss(student, teacher, mask)`.

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
    run,
)
from minidistil_kernels.testing.common import Operation, check, common_laws
from minidistil_kernels.testing.report import Law, Report


@dataclass(frozen=True)
class Case:
    """Normal hidden states of student and teacher, and the tokens that count.

    Two axes are those of a packed batch, which is as long as one text.
    """

    batch: int = 2
    length: int = 5
    width: int = 64
    dtype: torch.dtype = torch.float32
    mask: str = "random"
    axes: int = 3
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `cosine_loss`."""
        shape = (self.batch, self.length, self.width)[3 - self.axes :]
        return {
            "student": drawing.normal(self.seed, shape, self.dtype),
            "teacher": drawing.normal(self.seed + 1, shape, self.dtype),
            "mask": drawing.mask(self.seed, self.mask, shape[:-1]),
        }


CASES = st.builds(
    Case,
    batch=st.integers(1, 3),
    length=st.integers(1, 6),
    # The cosine of two numbers is a step: its slope is 0, and all that is computed of it rounding.
    width=st.integers(2, 130),
    dtype=drawing.DTYPES,
    mask=st.sampled_from(["all", "random", "one row empty", "nothing"]),
    axes=st.sampled_from([3, 2]),
    seed=drawing.SEEDS,
)
HARD = (
    Case(1, 3, 1030),
    Case(length=7, width=33, dtype=torch.float16, axes=2),
    Case(2, 3, 40, torch.bfloat16, "one row empty"),
)
MANY = (Case(2, 65, 5), Case(2, 0, 5))


def same_and_opposite(fn: Operation, case: Case) -> None:
    """The loss of equal directions is 0, of opposite ones 2, whatever their lengths."""
    inputs = replace(case, mask="all").inputs()
    for factor, expected in ((2.0, 0.0), (-2.0, 2.0)):
        loss = float(fn(inputs["teacher"] * factor, inputs["teacher"], inputs["mask"]))
        assert abs(loss - expected) <= 4 * FLOOR[torch.float32], f"{loss}, not {expected}"


def masked_do_not_count(fn: Operation, case: Case) -> None:
    """A masked token changes no bit and gets no gradient, even where it is NaN, the teacher too."""
    inputs = case.inputs()
    before = fn(**inputs)
    hidden = ~inputs["mask"][..., None]
    for name in ("student", "teacher"):
        inputs[name] = inputs[name].masked_fill(hidden, float("nan"))
    inputs["student"].requires_grad_()
    loss = fn(**inputs)
    assert torch.equal(loss, before), "a masked token changed the loss"
    (gradient,) = differentiate(loss, [inputs["student"]])
    assert (gradient.masked_select(hidden) == 0).all(), "a masked token has a gradient"


def nothing_counts(fn: Operation, case: Case) -> None:
    """With every token masked the loss is 0, and so is the gradient."""
    inputs = replace(case, mask="nothing").inputs()
    outputs, gradients = run(fn, inputs, ["student"])
    loss = float(outputs["output 0"])
    assert loss == 0, f"the loss of no tokens is {loss}"
    assert (gradients["student"] == 0).all(), "the gradient of no tokens is not 0"


def extreme(fn: Operation, case: Case) -> None:
    """Hidden states of some 1,000 do not overflow, though their squares do in float16."""
    inputs = case.inputs()
    for name in ("student", "teacher"):
        inputs[name] = inputs[name] * 1e3
    assert_accurate(measure(fn, reference.cosine_loss, reference.cosine_loss, inputs, ["student"]))


def zeros(fn: Operation, case: Case) -> None:
    """A row of zeros, of student or teacher, has cosine 0: 1e-12 is added to squared norms."""
    # The slope at a student of zeros is 1e6, which float16 does not hold.
    differentiable = [] if case.dtype == torch.float16 else ["student"]
    for name in ("student", "teacher"):
        inputs = replace(case, mask="all").inputs()
        inputs[name].view(-1, case.width)[-1] = 0.0
        twin = reference.cosine_loss
        assert_accurate(measure(fn, twin, twin, inputs, differentiable))


def nan_stays(fn: Operation, case: Case) -> None:
    """NaN in a token that counts makes the loss NaN, and the gradient of that token only."""
    for name in ("student", "teacher"):
        inputs = replace(case, mask="all").inputs()
        inputs[name].view(-1, case.width)[-1, 0] = float("nan")
        leaf = inputs["student"].requires_grad_()
        loss = fn(**inputs)
        assert loss.isnan(), f"NaN in the {name} was lost"
        (gradient,) = differentiate(loss, [leaf])
        others = gradient.reshape(-1, case.width)[:-1]
        assert not others.isnan().any(), "NaN in one token reached the gradient of another"


def teacher_is_constant(fn: Operation, case: Case) -> None:
    """No gradient reaches the teacher."""
    inputs = case.inputs()
    student, teacher = (inputs[name].requires_grad_() for name in ("student", "teacher"))
    _, gradient = differentiate(fn(**inputs), [student, teacher])
    assert (gradient == 0).all(), "the teacher has a gradient"


LAWS = [
    *common_laws(
        reference.cosine_loss, ["student"], ["student", "teacher"], CASES, HARD, MANY, loss=True
    ),
    *(
        Law(law, CASES, HARD)
        for law in (
            same_and_opposite,
            masked_do_not_count,
            nothing_counts,
            extreme,
            zeros,
            nan_stays,
            teacher_is_constant,
        )
    ),
]


def check_cosine_loss(fn: Operation, examples: int = 20) -> Report:
    """Try every law of `cosine_loss` on `fn`, and measure its errors at D = 768.

    Args:
        fn: Anybody's function; its result is differentiated.
        examples: Random cases a law.
    """
    return check(reference.cosine_loss, ["student"], LAWS, Case(2, 8, 768), fn, examples)
