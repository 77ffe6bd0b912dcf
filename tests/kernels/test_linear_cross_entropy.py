"""Projection + cross-entropy without the logits: its laws, its memory, its errors."""

import pytest
import torch

from minidistil_kernels import linear_cross_entropy
from minidistil_kernels.testing import cross_entropy as laws
from tests.kernels.operators import assert_integrates


@pytest.mark.parametrize("law", laws.LINEAR_LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(linear_cross_entropy, examples)
    assert result.holds, result


def test_operator():
    inputs = laws.LinearCase().inputs()
    for name in ("hidden", "weight", "bias"):
        inputs[name].requires_grad_()
    assert_integrates(linear_cross_entropy, inputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": torch.zeros(2, 4, dtype=torch.float64)}, "hidden is torch.float64"),
        ({"weight": torch.zeros(5, 3)}, r"weight has shape \(5, 3\)"),
        ({"bias": torch.zeros(4)}, r"bias has shape \(4,\)"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, r"labels has shape \(3,\)"),
        ({"labels": torch.tensor([0, 5])}, "5"),
    ],
)
def test_errors(change, message):
    inputs = {"hidden": torch.zeros(2, 4), "weight": torch.zeros(5, 4), "bias": torch.zeros(5)}
    inputs["labels"] = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        linear_cross_entropy(**inputs | change)
