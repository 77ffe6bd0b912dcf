"""The losses against worked examples, PyTorch's own, and the kernels' specification."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from minidistil.distillation import losses
from minidistil_kernels import reference


def logits(seed: int, rows: int, columns: int) -> torch.Tensor:
    return 3 * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def test_worked_example_of_the_divergence():
    """T = 2, teacher logits (0, 2 ln 3): p = (1/4, 3/4); student (0, 0): q = (1/2, 1/2).

    KL = 1/4 ln(1/2) + 3/4 ln(3/2) = 0.1308, times T^2 = 0.5232; two such rows: 1.0465.
    """
    teacher = torch.tensor([[0.0, 2 * math.log(3)]] * 2)
    value = losses.divergence(torch.zeros(2, 2), teacher, 2.0)
    expected = 2 * 4 * (0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_worked_example_of_the_cosine():
    """(1, 0) and (1, 1) have cosine 1 / sqrt 2; a row of zeros has cosine 0."""
    student = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    value = losses.cosine(student, torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
    assert value.item() == pytest.approx(2 - math.sqrt(0.5), rel=1e-6)


def test_worked_example_of_the_square():
    """(1, 2) - (0, 0): (1 + 4) / 2."""
    assert losses.square(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2)).item() == 2.5


@given(st.integers(1, 6), st.integers(2, 40), st.sampled_from([1.0, 2.0, 5.0]), st.integers(0, 99))
def test_the_specification_of_the_kernel_is_the_mean_of_these(rows, columns, temperature, seed):
    student, teacher = (
        logits(seed, rows, columns).double(),
        logits(seed + 1, rows, columns).double(),
    )
    labels = torch.randint(columns, (rows,), generator=torch.Generator().manual_seed(seed))
    labels[::2] = -100
    _, ce, mlm = reference.distillation_loss(student, teacher, labels, temperature=temperature)
    count = max(1, int((labels >= 0).sum()))
    torch.testing.assert_close(losses.divergence(student, teacher, temperature) / rows, ce)
    torch.testing.assert_close(losses.masked_lm(student, labels) / count, mlm)
    mask = torch.ones(rows, dtype=torch.bool)
    expected = reference.cosine_loss(student, teacher, mask)
    torch.testing.assert_close(losses.cosine(student, teacher) / rows, expected)


def test_the_cosine_is_pytorchs():
    student, teacher = logits(0, 5, 8), logits(1, 5, 8)
    expected = F.cosine_embedding_loss(student, teacher, torch.ones(5), reduction="sum")
    torch.testing.assert_close(losses.cosine(student, teacher), expected)


def test_temperature_keeps_the_gradient_of_close_logits():
    """T^2: for logits near each other the gradient hardly depends on T (Hinton et al., eq. 4)."""
    teacher = 0.01 * logits(0, 1, 10).double()
    norms = []
    for temperature in (1.0, 10.0):
        student = (0.01 * logits(1, 1, 10).double()).requires_grad_()
        (gradient,) = torch.autograd.grad(losses.divergence(student, teacher, temperature), student)
        norms.append(gradient.norm().item())
    assert norms[0] == pytest.approx(norms[1], rel=0.05)


@pytest.mark.parametrize("loss", [losses.divergence, losses.cosine, losses.square])
def test_what_is_equal_costs_nothing_and_the_teacher_learns_nothing(loss):
    x = logits(0, 4, 9).requires_grad_()
    y = logits(0, 4, 9).requires_grad_()
    value = loss(x, y)
    assert value.item() == pytest.approx(0, abs=1e-5)
    value.backward()
    assert y.grad is None and x.grad.abs().max() < 1e-5


@pytest.mark.parametrize("loss", [losses.divergence, losses.cosine, losses.square])
def test_no_rows(loss):
    x = torch.zeros(0, 9, requires_grad=True)
    value = loss(x, torch.zeros(0, 9))
    value.backward()
    assert value.item() == 0 and x.grad.shape == (0, 9)


def test_half_precision_is_summed_in_float32():
    x, y = logits(0, 300, 64).bfloat16(), logits(1, 300, 64).bfloat16()
    for loss in (losses.divergence, losses.cosine, losses.square):
        assert loss(x, y).dtype == torch.float32
        torch.testing.assert_close(loss(x, y), loss(x.float(), y.float()))


def test_what_the_teacher_holds_impossible_costs_nothing():
    """As without that column, also in the gradient; not so what the student alone does."""
    student, teacher = logits(0, 3, 6).requires_grad_(), logits(1, 3, 6)
    short = student.detach()[:, :5].clone().requires_grad_()
    hidden = torch.arange(6) == 5
    both = losses.divergence(
        student.masked_fill(hidden, -torch.inf), teacher.masked_fill(hidden, -torch.inf)
    )
    expected = losses.divergence(short, teacher[:, :5])
    torch.testing.assert_close(both, expected)
    ours, theirs = torch.autograd.grad(both, student), torch.autograd.grad(expected, short)
    torch.testing.assert_close(ours[0][:, :5], theirs[0])
    assert (ours[0][:, 5] == 0).all()
    assert losses.divergence(student.masked_fill(hidden, -torch.inf), teacher).isinf()


def test_worked_example_of_yes_or_no():
    """The teacher says 3/4, the student 1/2, T = 1: 3/4 ln(3/2) + 1/4 ln(1/2)."""
    value = losses.binary_divergence(torch.zeros(1, 1), torch.tensor([[math.log(3)]]), 1.0)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert value.item() == pytest.approx(expected, rel=1e-6)
