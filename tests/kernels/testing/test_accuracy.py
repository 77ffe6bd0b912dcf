"""The rule of errors: worked by hand, and where PyTorch's own result is NaN."""

import math

import pytest
import torch
import torch.nn.functional as F

from minidistil_kernels.testing.accuracy import (
    FLOOR,
    assert_accurate,
    differentiate,
    measure,
    outputs_of,
    run,
    upstream_of,
)

NAN, INF = float("nan"), float("inf")


def returns(*values):
    """A function of x that returns these numbers, and passes its gradient on."""
    return lambda x: 0 * x + torch.tensor(values, dtype=torch.float64).to(x.dtype)


def measured(yours, pytorch, exact, dtype=torch.float32):
    inputs = {"x": torch.ones(len(exact), dtype=dtype)}
    (error,) = measure(returns(*yours), returns(*exact), returns(*pytorch), inputs)
    return error


def test_worked_example():
    """Exact (1, 4), yours off by 0.5, PyTorch by 0.25: the bound is 2 x 0.25 + 1e-6 x 4."""
    error = measured([1.5, 4.0], [1.0, 4.25], [1.0, 4.0])
    assert (error.yours, error.pytorch, error.dtype) == (0.5, 0.25, "float32")
    assert error.bound == pytest.approx(0.5 + 4e-6)
    assert_accurate([error])
    with pytest.raises(AssertionError, match=r"output 0 in float32: error 5.10e-01 > 5.00e-01"):
        assert_accurate([measured([1.51, 4.0], [1.0, 4.25], [1.0, 4.0])])


@pytest.mark.parametrize("dtype", FLOOR)
def test_the_floor(dtype):
    """PyTorch exact by luck: one rounding is allowed all the same, two are not."""
    step = torch.finfo(dtype).eps
    inputs = {"x": torch.ones(1, dtype=dtype)}
    for steps, right in ((1, True), (20, False)):
        (error,) = measure(lambda x, s=steps: x + s * step, lambda x: x, lambda x: x, inputs)
        assert (error.yours <= error.bound) == right


@pytest.mark.parametrize(
    ("yours", "pytorch", "exact", "right"),
    [
        ([1, NAN], [1, 2], [1, 2], False),
        ([1, INF], [1, 2], [1, 2], False),
        # PyTorch's NaN neither fails the right nor excuses the wrong.
        ([1, 2], [1, NAN], [1, 2], True),
        ([1, 2.1], [1, NAN], [1, 2], False),
        ([1.1, 2], [1, NAN], [1, 2], False),
        ([1, NAN], [1, NAN], [1, 2], False),
        ([1, 2], [NAN, NAN], [1, 2], True),
        # The same of an overflow.
        ([1.1, 2], [1, INF], [1, 2], False),
        ([1, INF], [1, INF], [1, 2], False),
        # Infinity and NaN may be exact.
        ([1, INF], [1, INF], [1, INF], True),
        ([1, -INF], [1, INF], [1, INF], False),
        ([1, 2], [1, INF], [1, INF], False),
        ([1, NAN], [1, NAN], [1, NAN], True),
        ([1, 2], [1, NAN], [1, NAN], False),
        ([1.1, NAN], [1, NAN], [1, NAN], False),
    ],
)
def test_nan_and_infinity(yours, pytorch, exact, right):
    error = measured(yours, pytorch, exact)
    assert (error.yours <= error.bound) == right, error
    assert math.isfinite(error.bound)


def test_a_constant_row_in_half_precision():
    """PyTorch's LayerNorm of a constant row can be NaN in half precision: eps is lost there."""
    x = torch.full((2, 40), 0.1, dtype=torch.float16)
    x[1] = torch.linspace(-1, 1, 40)

    def right(x):
        return F.layer_norm(x.double(), (40,), eps=1e-12).to(x.dtype)

    def nan_in_constant_rows(x):
        return right(x).masked_fill((x == x[:, :1]).all(-1, keepdim=True), NAN)

    assert_accurate(measure(right, right, nan_in_constant_rows, {"x": x}))
    for wrong in (nan_in_constant_rows, lambda x: 1.1 * right(x), lambda x: right(x) + 0.1):
        with pytest.raises(AssertionError, match="error"):
            assert_accurate(measure(wrong, right, nan_in_constant_rows, {"x": x}))


def test_gradients_are_held_to_the_steepest():
    """y = x + 0 * z in mathematics: noise in dz is measured against dx, not against 0."""
    inputs = {"x": torch.ones(3), "z": torch.ones(3)}

    def noisy(x, z):
        return x + 1e-7 * z

    errors = measure(noisy, lambda x, z: x + 0 * z, lambda x, z: x + 0 * z, inputs, ["x", "z"])
    assert [error.what for error in errors] == ["output 0", "gradient of x", "gradient of z"]
    of_x, of_z = errors[1:]
    assert of_z.yours > 0 and of_z.pytorch == 0
    assert of_z.bound == of_x.bound > of_z.yours


def test_half_precision_is_measured_on_the_rounded_inputs():
    """The reference sees what the function sees: 0.1 in bfloat16, which is 0.10009765625."""
    seen = []

    def reference(x):
        seen.append(x)
        return x

    measure(lambda x: x, reference, lambda x: x, {"x": torch.tensor([0.1], dtype=torch.bfloat16)})
    assert seen[0].dtype == torch.float64 and seen[0].item() == 0.10009765625


def test_the_upstream_gradient_is_the_same_in_every_dtype():
    gradients = {
        dtype: run(lambda x: 1 * x, {"x": torch.ones(5, dtype=dtype)}, ["x"])[1]["x"]
        for dtype in (torch.float64, torch.float32, torch.bfloat16)
    }
    assert torch.equal(gradients[torch.float64].float(), gradients[torch.float32])
    assert torch.equal(gradients[torch.float32].bfloat16(), gradients[torch.bfloat16])
    assert len(gradients[torch.float64].unique()) == 5


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 4, 3), (0, 3)])
def test_layouts_of_the_upstream_gradient(shape):
    """The same numbers apart; one row for all, expanded."""
    output = torch.zeros(shape)
    dense, apart, expanded = (upstream_of(output, x) for x in ("dense", "apart", "expanded"))
    assert torch.equal(apart, dense)
    assert dense.shape == expanded.shape == output.shape
    if len(shape) == 3:
        assert dense.is_contiguous()
        assert apart.stride() == (2, 2 * 2, 2 * 2 * 4)  # axes in the opposite order, gaps of one
        assert expanded.stride() == (0, 0, 1)


def test_the_upstream_gradient_is_laid_out_as_told():
    seen = []

    def spy(x):
        y = 1 * x
        y.register_hook(lambda gradient: seen.append(gradient.stride()))
        return y

    measure(spy, spy, spy, {"x": torch.ones(2, 3)}, ["x"], "expanded")
    assert seen == [(0, 1)] * 3


def test_the_floor_of_a_loss():
    """Exact 0, of a logit of 8: 8e-6 may be left of terms that cancel, and no more.

    So it is with the gradient, of two rows half of it.
    """
    inputs = {"logits": torch.tensor([[8.0], [-2.0]])}

    def loss(left, slope):
        return lambda logits: 0 * logits.sum() + left + slope * (logits - logits.detach()).sum()

    exact = loss(0.0, 0.0)
    output, gradient = measure(loss(7e-6, 3e-6), exact, exact, inputs, ["logits"])
    assert output.bound == pytest.approx(8e-6) and gradient.bound == pytest.approx(4e-6)
    assert_accurate([output, gradient])
    for wrong in (loss(9e-6, 0.0), loss(0.0, 7e-6)):
        with pytest.raises(AssertionError, match="error"):
            assert_accurate(measure(wrong, exact, exact, inputs, ["logits"]))


def test_a_result_without_a_gradient():
    x = torch.ones(3)
    with pytest.raises(AssertionError, match="^returned a result without a gradient$"):
        measure(lambda x: x.detach(), lambda x: x, lambda x: x, {"x": x}, ["x"])
    unused = torch.ones(2, requires_grad=True)
    y = 2 * x.requires_grad_()
    assert [g.tolist() for g in differentiate(y.sum(), [x, unused])] == [[2, 2, 2], [0, 0]]


def test_a_function_that_spoils_its_inputs_spoils_no_measure():
    """Reference and PyTorch's own run before it."""
    x = torch.tensor([1.0, 2.0])

    def spoils(x):
        y = 2 * x
        x.data.zero_()
        return y

    (error,) = measure(spoils, lambda x: 2 * x, lambda x: 2 * x, {"x": x})
    assert (error.yours, error.pytorch) == (0, 0)


@pytest.mark.parametrize(
    ("fn", "reason"),
    [
        (lambda x: x[:1], r"output 0 has shape \(1,\), not \(3,\)"),
        (lambda x: (x, x), "returned 2 results, not 1"),
        (lambda x: None, "returned NoneType, not a tensor"),
        (lambda x: [x], "returned list, not a tensor"),
        (lambda x: (), "returned an empty tuple"),
    ],
)
def test_another_result(fn, reason):
    with pytest.raises(AssertionError, match=reason):
        measure(fn, lambda x: x, lambda x: x, {"x": torch.ones(3)})


def test_nothing_to_measure():
    (error,) = measure(lambda x: x, lambda x: x, lambda x: x, {"x": torch.ones(0)})
    assert (error.yours, error.pytorch, error.bound) == (0, 0, 0)


def test_outputs():
    x = torch.ones(1)
    assert outputs_of(x) == (x,) and outputs_of((x, x)) == (x, x)
