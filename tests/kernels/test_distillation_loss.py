"""The distillation-loss kernel: its laws, its numbers by hand, its errors."""

import math

import pytest
import torch

from minidistil_kernels import distillation_loss, reference
from minidistil_kernels.testing import distillation_loss as laws
from minidistil_kernels.testing.accuracy import assert_accurate, measure
from tests.kernels.operators import assert_integrates


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(distillation_loss, examples)
    assert result.holds, result


def test_worked_example():
    """At T = 2 logits (0, 2 ln 3) give p = (1/4, 3/4), and equal logits q = (1/2, 1/2).

    KL = 1/4 ln(1/2) + 3/4 ln(3/2) = 0.130812; T^2 KL = 0.523248; the label costs ln 2.
    """
    teacher = torch.tensor([[0.0, 2 * math.log(3)]])
    student = torch.zeros(1, 2)
    total, ce, mlm = distillation_loss(student, teacher, torch.tensor([1]))
    torch.testing.assert_close(ce, torch.tensor(0.523248), atol=1e-6, rtol=0)
    torch.testing.assert_close(mlm, torch.tensor(math.log(2)))
    torch.testing.assert_close(total, 5 * ce + 2 * mlm)


def test_the_vocabulary_of_distilbert():
    """30,522 logits a row: many tiles, the last one ragged."""
    twin = reference.distillation_loss
    inputs = laws.Case(2, 30522, scale=3.0).inputs()
    assert_accurate(measure(distillation_loss, twin, twin, inputs, ["student"]))


def test_a_student_close_to_its_teacher():
    """Uniform over 8,193 classes and 8,192 of them: KL = ln(8193/8192) = 1.2e-4.

    As a difference of logarithms, each about 9, it would be off by 1e-6.
    """
    student, teacher = torch.zeros(2, 1, 8193).unbind()
    teacher[:, -1] = -torch.inf
    _, ce, _ = distillation_loss(student, teacher, temperature=1.0)
    torch.testing.assert_close(ce, torch.tensor(math.log1p(1 / 8192)), atol=1e-7, rtol=0)


@pytest.mark.parametrize("hides", [["teacher"], ["student", "teacher"]])
def test_where_the_teacher_has_probability_0(hides):
    """Logits of -inf: as the specification, forward and backward."""
    twin = reference.distillation_loss
    inputs = laws.Case(3, 70).inputs() | {"labels": None}
    for name in hides:
        inputs[name][:, ::3] = -torch.inf
    measured = measure(distillation_loss, twin, twin, inputs, ["student"])
    assert_accurate(measured)
    assert all(error.bound < 1e-4 for error in measured)


def test_operator():
    inputs = laws.Case(labelled=True).inputs()
    inputs["student"].requires_grad_()
    assert_integrates(distillation_loss, inputs)


def test_nothing_to_do():
    x = torch.randn(0, 5, requires_grad=True)
    total, ce, mlm = distillation_loss(x, x.detach(), torch.zeros(0, dtype=torch.int64))
    total.backward()
    assert total == ce == mlm == 0 and x.grad.shape == (0, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student": torch.zeros(2, 4, dtype=torch.float64)}, "student is torch.float64"),
        ({"teacher": torch.zeros(2, 5)}, r"teacher has shape \(2, 5\)"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, r"labels has shape \(3,\)"),
        ({"labels": torch.tensor([0, 4])}, "4"),
        ({"student": torch.zeros(4, 2).T}, "last axis of student has stride 2, not 1"),
        ({"teacher": torch.zeros(4, 2).T}, "last axis of teacher has stride 2"),
        ({"temperature": 0.0}, "temperature is 0.0, expected more than 0"),
        ({"temperature": math.inf}, "temperature is inf"),
    ],
)
def test_errors(change, message):
    inputs = {"student": torch.zeros(2, 4), "teacher": torch.zeros(2, 4)}
    with pytest.raises(ValueError, match=message):
        distillation_loss(**inputs | change)
