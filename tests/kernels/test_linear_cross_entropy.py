"""Projection + cross-entropy without the logits: its laws, its memory, its errors."""

from importlib import import_module

import pytest
import torch

from minidistil_kernels import linear_cross_entropy, reference
from minidistil_kernels.testing import cross_entropy as laws
from minidistil_kernels.testing.accuracy import assert_accurate, measure
from tests.kernels.operators import assert_integrates


@pytest.mark.parametrize("law", laws.LINEAR_LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(linear_cross_entropy, examples)
    assert result.holds, result


def test_more_columns_than_a_slice():
    """4,500 logits a row: two slices forward, two chunks backward, the last of each ragged."""
    inputs = laws.LinearCase(rows=5, classes=4500, width=16).inputs()
    inputs["labels"][0] = 4499
    names = ["hidden", "weight", "bias"]
    twin = reference.linear_cross_entropy
    assert_accurate(measure(linear_cross_entropy, twin, twin, inputs, names))


def test_sums_over_chunks_are_float32(monkeypatch):
    """1,024 equal columns in 8 chunks, their weights such that dhidden is 63.5 + 7 / 128.

    Half precision has steps of 1/32 there: added to it one by one, the seven would be lost.
    """
    module = import_module("minidistil_kernels.linear_cross_entropy")
    monkeypatch.setattr(module, "CHUNK_V", 128)
    hidden = torch.zeros(1, 16, dtype=torch.float16, requires_grad=True)
    weight = torch.full((1024, 16), 1 / 16, dtype=torch.float16)
    weight[:128] = 512
    weight[0] = 0  # the label's
    loss = linear_cross_entropy(hidden, weight, torch.zeros_like(weight[:, 0]), torch.tensor([0]))
    loss.backward()
    assert (hidden.grad == 63.5625).all()


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
        ({"hidden": torch.zeros(4, 2).T}, "last axis of hidden has stride 2, not 1"),
        ({"weight": torch.zeros(4, 5).T}, "last axis of weight has stride 5"),
        ({"bias": torch.zeros(10)[::2]}, "last axis of bias has stride 2"),
    ],
)
def test_errors(change, message):
    inputs = {"hidden": torch.zeros(2, 4), "weight": torch.zeros(5, 4), "bias": torch.zeros(5)}
    inputs["labels"] = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        linear_cross_entropy(**inputs | change)
