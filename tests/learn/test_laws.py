"""The helpers of checks: closeness in words, numbers of a seed, no autograd, bytes counted."""

from importlib.util import find_spec

import pytest
import torch

from minidistil.learn.laws import DEVICE, assert_close, normal, traffic, without_autograd


@pytest.mark.parametrize(
    ("got", "message"),
    [
        (None, "a tensor is wanted, not None, a NoneType"),
        (torch.zeros(3), r"the shape is \(3,\), wanted is \(2,\)"),
        (
            torch.zeros(2, dtype=torch.float64),
            "the dtype is torch.float64, wanted is torch.float32",
        ),
        (torch.tensor([1.0, 2.1]), r"at \(1,\) of \(2,\) it is 2.1, wanted is 2 \(1 of 2 places"),
        (torch.tensor([float("nan"), 2.0]), r"at \(0,\) of \(2,\) it is nan, wanted is 1"),
        (torch.tensor([float("inf"), 2.0]), "it is inf, wanted is 1"),
    ],
)
def test_far_is_said_in_words(got, message):
    with pytest.raises(AssertionError, match=message):
        assert_close(got, torch.tensor([1.0, 2.0]))


def test_close():
    want = torch.tensor([1.0, 1000.0, float("inf"), float("nan")])
    assert_close(want + torch.tensor([9e-6, 9e-3, 0, 0]), want)
    assert_close(torch.tensor([True, False]), torch.tensor([True, False]))
    with pytest.raises(AssertionError):
        assert_close(want + torch.tensor([2e-5, 0, 0, 0]), want)


def test_the_place_that_differs_is_explained():
    with pytest.raises(AssertionError, match=r"places differ\); it is 2 because of \(1,\)"):
        assert_close(
            torch.tensor([1.0, 2.1]),
            torch.tensor([1.0, 2.0]),
            explain=lambda place: f"it is 2 because of {place}",
        )


def test_numbers_of_a_seed():
    assert torch.equal(normal(3, (2, 2)), normal(3, (2, 2)))
    assert not torch.equal(normal(3, (2, 2)), normal(4, (2, 2)))
    assert normal(3, (1,), torch.float64).dtype == torch.float64


def test_autograd_is_refused_and_comes_back():
    x = torch.ones(2, requires_grad=True)
    with without_autograd():
        with pytest.raises(AssertionError, match="by hand"):
            torch.autograd.grad(x.sum(), x)
        with pytest.raises(AssertionError, match="by hand"):
            x.sum().backward()
    x.sum().backward()
    assert x.grad is not None


def test_bytes_of_a_kernel():
    if find_spec("triton") is None or DEVICE == "cuda":
        pytest.skip("counts in Triton's interpreter, without a GPU")
    from minidistil_kernels import softmax

    x = torch.randn(3, 5)
    assert traffic(softmax, x) == (60, 60)
