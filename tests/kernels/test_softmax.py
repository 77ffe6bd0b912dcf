"""The softmax kernel: its laws, its traffic, its errors."""

import pytest
import torch

from minidistil_kernels import softmax
from minidistil_kernels.lab import meter
from minidistil_kernels.softmax import MAX_N
from minidistil_kernels.testing import softmax as laws
from tests.helpers.kernels import interpreted
from tests.kernels.operators import assert_integrates


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(softmax, examples)
    assert result.holds, result


def test_worked_example():
    """Logits (0, ln 3) have exponentials (1, 3) and weights (1/4, 3/4); masked, (1, 0)."""
    x = torch.tensor([[0.0, 3.0]]).log().exp().log()
    x[0, 0] = 0.0
    torch.testing.assert_close(softmax(x), torch.tensor([[0.25, 0.75]]))
    assert softmax(x, torch.tensor([True, False])).tolist() == [[1, 0]]


def test_operator():
    x, mask = torch.randn(3, 7, requires_grad=True), torch.rand(3, 7) > 0.3
    assert_integrates(softmax, {"x": x, "mask": mask})


@interpreted
@pytest.mark.parametrize("masked", [False, True])
def test_traffic(masked):
    """Every element once: the forward reads and writes R*N, the backward reads 2*R*N, writes R*N.

    The mask adds one byte an element to the forward.
    """
    rows, n = 5, 70
    x = torch.randn(rows, n, requires_grad=True)
    mask = torch.rand(rows, n) > 0.3 if masked else None
    with meter() as forward:
        y = softmax(x, mask)
    assert forward.total.requested == 2 * rows * n * 4 + masked * rows * n
    with meter() as backward:
        y.backward(torch.randn_like(y))
    assert backward.total.requested == 3 * rows * n * 4


@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (0,), (2, 0, 3)])
def test_nothing_to_do(shape):
    x = torch.randn(shape, requires_grad=True)
    y = softmax(x)
    assert y.shape == x.shape
    y.sum().backward()
    assert x.grad.shape == x.shape


def test_mask_of_fewer_axes():
    x = torch.randn(2, 3, 4, 5)
    mask = torch.tensor([True, False, True, True, False])
    torch.testing.assert_close(softmax(x, mask)[..., [1, 4]], torch.zeros(2, 3, 4, 2))
    mask = mask.expand(2, 1, 1, 5)
    torch.testing.assert_close(softmax(x, mask)[..., [1, 4]], torch.zeros(2, 3, 4, 2))


def test_the_longest_row():
    assert (softmax(torch.zeros(1, MAX_N)) == 1 / MAX_N).all()


@pytest.mark.parametrize(
    ("x", "mask", "message"),
    [
        (torch.zeros(2, 3, dtype=torch.float64), None, r"x is torch.float64.*reference.softmax"),
        (torch.zeros(2, 3, dtype=torch.int64), None, "x is torch.int64"),
        (torch.zeros(3, 2).T, None, r"stride 2, not 1; pass x.contiguous\(\)"),
        (torch.zeros(()), None, r"shape \(\)"),
        (torch.zeros(1, MAX_N + 1), None, "at most 16384 elements"),
        (torch.zeros(2, 3), torch.ones(2, 3), "mask is torch.float32"),
        (torch.zeros(2, 3), torch.ones(4, 3, dtype=torch.bool), r"\(4, 3\) does not broadcast"),
        (torch.zeros(2, 3, device="meta"), torch.ones(3, dtype=torch.bool), "x on meta"),
    ],
)
def test_errors(x, mask, message):
    with pytest.raises(ValueError, match=message):
        softmax(x, mask)


def test_nan_leaves_masked_places_alone():
    y = softmax(torch.tensor([[float("nan"), 3.0, 1.0]]), torch.tensor([True, False, True]))
    assert y[0, 1] == 0 and y[0, [0, 2]].isnan().all()


def test_a_row_of_minus_infinity_without_a_mask_is_nan_as_in_pytorch():
    x = torch.tensor([[-torch.inf, -torch.inf], [0.0, -torch.inf]])
    torch.testing.assert_close(softmax(x), x.softmax(-1), equal_nan=True)
