"""What calls owe each other, on a product: the right one passes, each fault is named."""

import pytest
import torch

from minidistil_kernels.testing.calls import (
    assert_alone,
    assert_backward_twice,
    assert_side_by_side,
)
from tests.kernels.testing.wrong import all_or_nothing, backward_once, one_buffer, one_workspace

NAMES = ("x", "w")


def product(x, w):
    return x * w


def inputs(value=1.0):
    return {"x": torch.tensor([value, 2.0]), "w": torch.tensor([3.0, value])}


def side_by_side(fn):
    assert_side_by_side(fn, inputs(), inputs(5.0), NAMES)


def test_the_right_one_passes():
    side_by_side(product)
    assert_backward_twice(product, inputs(), NAMES)
    assert_alone(product, inputs(), NAMES)
    empty = {"x": torch.ones(0), "w": torch.ones(0)}
    assert_alone(product, empty, NAMES)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [(one_buffer(product), "output 0"), (one_workspace(product), "gradient of x")],
)
def test_memory_that_calls_share(wrong, what):
    with pytest.raises(AssertionError, match=f"another call in between changed {what}"):
        side_by_side(wrong)


def test_a_second_backward():
    with pytest.raises(AssertionError, match="a second backward gave another gradient of x"):
        assert_backward_twice(backward_once(product), inputs(), NAMES)
    with pytest.raises(AssertionError, match="returned a result without a gradient"):
        assert_backward_twice(lambda x, w: (x * w).detach(), inputs(), NAMES)


def test_one_gradient_alone():
    with pytest.raises(AssertionError, match="returned a result without a gradient"):
        assert_alone(all_or_nothing(product, *NAMES), inputs(), NAMES)

    def doubled_alone(x, w):
        return x * w if x.requires_grad else 2 * x * w

    with pytest.raises(AssertionError, match="the gradient of w is another where nothing else"):
        assert_alone(doubled_alone, inputs(), NAMES)
