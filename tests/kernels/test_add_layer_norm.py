"""The add + LayerNorm kernel: its laws, its traffic, its errors."""

from importlib import import_module

import pytest
import torch

from minidistil_kernels import add_layer_norm, reference
from minidistil_kernels.add_layer_norm import MAX_D
from minidistil_kernels.testing import add_layer_norm as laws
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import assert_accurate, measure
from tests.kernels.operators import assert_integrates


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(add_layer_norm, examples)
    assert result.holds, result


def test_worked_example():
    """x + residual = (1, 3): mean 2, deviation 1, normalised (-1, 1); times 2, plus 1: (-1, 3)."""
    x, residual = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 2.0]])
    y = add_layer_norm(x, residual, torch.full((2,), 2.0), torch.ones(2))
    torch.testing.assert_close(y, torch.tensor([[-1.0, 3.0]]))


@pytest.mark.parametrize("mean", [1e3, 1e5])
def test_rows_far_from_0(mean):
    """As exact as around 0: what the mean loses to its size is taken off the deviations again.

    Added to the mean instead, it is lost once more: errors of 3e-5 and 2e-3.
    """
    x = (drawing.normal(0, (8, 768)) + mean).requires_grad_()
    one, zero = torch.ones_like(x[0]), torch.zeros_like(x[0])
    y = add_layer_norm(x, torch.zeros_like(x), one, zero)
    wide = x.detach().double().requires_grad_()
    exact = reference.add_layer_norm(wide, wide.detach() * 0, one.double(), zero.double())
    upstream = drawing.normal(1, y.shape)
    (gradient,) = torch.autograd.grad(y, x, upstream)
    (exact_gradient,) = torch.autograd.grad(exact, wide, upstream.double())
    torch.testing.assert_close(y, exact.float(), atol=1e-6, rtol=0)
    torch.testing.assert_close(gradient, exact_gradient.float(), atol=2e-6, rtol=0)


def test_more_rows_than_programs(monkeypatch):
    """Two programs of the backward sum three rows and two, as 256 do of more than 256."""
    monkeypatch.setattr(import_module("minidistil_kernels.add_layer_norm"), "PARTIALS", 2)
    inputs = laws.Case(5, 8).inputs()
    twin = reference.add_layer_norm
    assert_accurate(measure(add_layer_norm, twin, twin, inputs, laws.DIFFERENTIABLE))


def test_operator():
    inputs = laws.Case(3, 20).inputs()
    for name in laws.DIFFERENTIABLE:
        inputs[name].requires_grad_()
    assert_integrates(add_layer_norm, inputs)


@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_nothing_to_do(shape):
    x, weight = torch.randn(shape, requires_grad=True), torch.ones(5, requires_grad=True)
    y = add_layer_norm(x, x, weight, torch.zeros(5))
    assert y.shape == x.shape
    y.sum().backward()
    assert x.grad.shape == x.shape and (weight.grad == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 4, dtype=torch.float64)}, "x is torch.float64"),
        ({"residual": torch.zeros(2, 4, dtype=torch.float16)}, "residual is torch.float16"),
        ({"residual": torch.zeros(3, 4)}, r"residual has shape \(3, 4\)"),
        ({"weight": torch.zeros(5)}, r"weight has shape \(5,\)"),
        ({"x": torch.zeros(2, MAX_D + 1)}, "at most 8192 elements"),
        ({"x": torch.zeros(4, 2).T}, "last axis of x has stride 2, not 1"),
        ({"residual": torch.zeros(4, 2).T}, "last axis of residual has stride 2"),
        ({"weight": torch.zeros(8)[::2]}, "last axis of weight has stride 2"),
        ({"bias": torch.zeros(8)[::2]}, "last axis of bias has stride 2"),
        ({"eps": -1e-12}, "eps is -1e-12, expected 0 or more"),
        ({"eps": float("nan")}, "eps is nan"),
        ({"bias": torch.zeros(4, device="meta")}, "bias is on meta"),
    ],
)
def test_errors(change, message):
    inputs = {"x": torch.zeros(2, 4), "residual": torch.zeros(2, 4)}
    inputs |= {"weight": torch.ones(4), "bias": torch.zeros(4)} | change
    with pytest.raises(ValueError, match=message):
        add_layer_norm(**inputs)
