"""The cosine-loss kernel: its laws, its errors."""

import pytest
import torch

from minidistil_kernels import cosine_loss
from minidistil_kernels.cosine_loss import MAX_D
from minidistil_kernels.testing import cosine_loss as laws
from tests.kernels.operators import assert_integrates


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(cosine_loss, examples)
    assert result.holds, result


def test_worked_example():
    """(3, 4) and (4, 3) have the cosine 24/25; (1, 0) and (0, 1) have 0; the last row is masked."""
    student = torch.tensor([[3.0, 4.0], [1.0, 0.0], [9.0, 9.0]])
    teacher = torch.tensor([[4.0, 3.0], [0.0, 1.0], [-9.0, -9.0]])
    loss = cosine_loss(student, teacher, torch.tensor([True, True, False]))
    torch.testing.assert_close(loss, torch.tensor((1 / 25 + 1) / 2))


def test_equals_the_recipe():
    """`nn.CosineEmbeddingLoss` with target 1 on the tokens that count."""
    student, teacher = torch.randn(2, 4, 6, 32).unbind()
    mask = torch.rand(4, 6) > 0.3
    expected = torch.nn.CosineEmbeddingLoss()(
        student[mask], teacher[mask], torch.ones(int(mask.sum()))
    )
    torch.testing.assert_close(cosine_loss(student, teacher, mask), expected)


def test_operator():
    inputs = laws.Case().inputs()
    inputs["student"].requires_grad_()
    assert_integrates(cosine_loss, inputs)


def test_nothing_to_do():
    x = torch.randn(0, 5, requires_grad=True)
    loss = cosine_loss(x, x.detach(), torch.ones(0, dtype=torch.bool))
    loss.backward()
    assert loss == 0 and x.grad.shape == (0, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student": torch.zeros(2, 4, dtype=torch.float64)}, "student is torch.float64"),
        ({"teacher": torch.zeros(2, 5)}, r"teacher has shape \(2, 5\)"),
        ({"student": torch.zeros(4, 2).T}, "last axis of student has stride 2, not 1"),
        ({"teacher": torch.zeros(4, 2).T}, "last axis of teacher has stride 2"),
        (dict.fromkeys(["student", "teacher"], torch.zeros(2, MAX_D + 1)), "1 to 16384 elements"),
        (dict.fromkeys(["student", "teacher"], torch.zeros(2, 0)), "1 to 16384 elements"),
        ({"mask": torch.ones(2)}, "mask is torch.float32"),
        ({"mask": torch.ones(3, dtype=torch.bool)}, r"mask has shape \(3,\)"),
    ],
)
def test_errors(change, message):
    inputs = {"student": torch.zeros(2, 4), "teacher": torch.zeros(2, 4)}
    inputs["mask"] = torch.ones(2, dtype=torch.bool)
    with pytest.raises(ValueError, match=message):
        cosine_loss(**inputs | change)
