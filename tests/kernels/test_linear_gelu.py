"""The linear + GELU kernel: its laws, its errors."""

import numpy as np
import pytest
import torch

from minidistil_kernels import linear_gelu
from minidistil_kernels.testing import linear_gelu as laws
from tests.helpers.kernels import interpreted
from tests.kernels.operators import assert_integrates


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(linear_gelu, examples)
    assert result.holds, result


def test_worked_example():
    """x w + b = 2 * 1 - 1 = 1, and gelu(1) = Phi(1) = 0.8413447."""
    one = torch.ones(1, 1)
    y = linear_gelu(2 * one, one, -torch.ones(1))
    torch.testing.assert_close(y, torch.tensor([[0.8413447]]))


def test_operator():
    inputs = {name: x.requires_grad_() for name, x in laws.Case(3, 20, 10).inputs().items()}
    assert_integrates(linear_gelu, inputs)


@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_nothing_to_do(shape):
    x, weight = torch.randn(shape, requires_grad=True), torch.randn(3, 5, requires_grad=True)
    y = linear_gelu(x, weight, torch.zeros(3))
    assert y.shape == (*shape[:-1], 3)
    y.sum().backward()
    assert x.grad.shape == x.shape and (weight.grad == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 4, dtype=torch.float64)}, "x is torch.float64"),
        ({"weight": torch.zeros(3, 5)}, r"weight \(3, 5\), expected"),
        ({"bias": torch.zeros(4)}, r"bias has shape \(4,\)"),
        ({"weight": torch.zeros(4, 3).T}, "stride 3, not 1"),
    ],
)
def test_errors(change, message):
    inputs = {"x": torch.zeros(2, 4), "weight": torch.zeros(3, 4), "bias": torch.zeros(3)}
    with pytest.raises(ValueError, match=message):
        linear_gelu(**inputs | change)


@interpreted
@pytest.mark.parametrize("name", ["x", "weight"])
def test_rows_too_far_apart(name):
    """Two rows 2^30 elements apart; memory they need none, as they are refused unread."""
    far = np.lib.stride_tricks.as_strided(np.zeros(4, np.float32), (2, 4), (2**32, 4))
    inputs = {"x": torch.zeros(2, 4), "weight": torch.zeros(2, 4), "bias": torch.zeros(2)}
    inputs[name] = torch.from_numpy(far)
    message = rf"2 rows of {name} of stride 1073741824 span.*pass {name}\.contiguous\(\)"
    with pytest.raises(ValueError, match=message):
        linear_gelu(**inputs)


@pytest.mark.parametrize("wanted", ["x", "weight", "bias"])
def test_one_gradient_alone(wanted):
    """The others are not computed, and the operator says the same of their shapes."""
    inputs = laws.Case(3, 8, 5).inputs()
    leaves = inputs | {name: x.detach().requires_grad_() for name, x in inputs.items()}
    expected = torch.autograd.grad(linear_gelu(**leaves).sum(), leaves[wanted])
    alone = inputs | {wanted: inputs[wanted].detach().requires_grad_()}
    assert torch.equal(*torch.autograd.grad(linear_gelu(**alone).sum(), alone[wanted]), *expected)
    assert_integrates(linear_gelu, alone)
