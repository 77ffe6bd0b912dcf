"""The laws of linear + GELU: the twin obeys them, and each notices what it is there for."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from minidistil_kernels import reference
from minidistil_kernels.testing import check_linear_gelu
from minidistil_kernels.testing.linear_gelu import LAWS, Case
from tests.kernels.testing.wrong import (
    all_or_nothing,
    assert_notices,
    assert_refused,
    backward_once,
    gapless,
    gapless_upstream,
    noisy,
    one_buffer,
    refuses,
    scratch,
    wide,
)

TWIN = reference.linear_gelu


def tanh_gelu(x, weight, bias):
    """The approximation of GPT-2, off by up to 5e-4."""
    return F.gelu(F.linear(x, weight, bias), approximate="tanh")


class Cubed(torch.autograd.Function):
    """GELU, whose slope is computed with z^3: right forward, infinite * 0 backward."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return F.gelu(z)

    @staticmethod
    def backward(ctx, dy):
        (z,) = ctx.saved_tensors
        density = torch.exp(-z.square() / 2)
        return dy * (torch.special.ndtr(z.float()) + z**10 / z**9 * density / 2.5066283).to(z.dtype)


def overflowing_slope(x, weight, bias):
    return Cubed.apply(F.linear(x, weight, bias))


def saves_for_x_only(x, weight, bias):
    """Without a gradient for x, weight gets none either."""
    return TWIN(x, weight if x.requires_grad else weight.detach(), bias)


WRONG = {
    "accurate": tanh_gelu,
    "same_form": wide(TWIN),
    "inputs_stay": scratch(TWIN, "weight"),
    "any_stride": gapless(TWIN, "x"),
    "repeatable": noisy(TWIN),
    "side_by_side": one_buffer(TWIN),
    "backward_twice": backward_once(TWIN),
    "alone": saves_for_x_only,
    "extreme": overflowing_slope,
    "nan_stays": lambda x, weight, bias: TWIN(x.nan_to_num(), weight, bias),
    "any_upstream": gapless_upstream(TWIN),
}
ALSO_WRONG = {
    "one axis": (refuses(TWIN, lambda x, **rest: x.ndim == 1), "accurate"),
    "three axes": (refuses(TWIN, lambda x, **rest: x.ndim == 3), "accurate"),
    "four axes": (refuses(TWIN, lambda x, **rest: x.ndim == 4), "accurate"),
    "all or nothing": (all_or_nothing(TWIN, "x", "weight", "bias"), "alone"),
    "weight with gaps": (gapless(TWIN, "weight"), "any_stride"),
}


def test_the_twin_obeys():
    report = check_linear_gelu(TWIN, examples=5)
    assert report.holds, report
    assert len(report.errors) == 4 * 3  # result and three gradients in three dtypes


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


@pytest.mark.parametrize("what", ALSO_WRONG)
def test_is_refused(what):
    assert_refused(LAWS, *ALSO_WRONG[what])


@pytest.mark.parametrize("case", [Case(1, 1, 128), Case(1, 80, 4), Case(1, 2, 70)])
def test_the_order_of_a_sum_breaks_no_law(case):
    """Right, but with all sums in another order than PyTorch's."""

    def backwards(x, weight, bias):
        return F.gelu((x[..., None, :] * weight).flip(-1).sum(-1) + bias)

    (accurate,) = (law for law in LAWS if law.check.__name__ == "accurate")
    for seed in range(100):
        accurate.check(backwards, replace(case, seed=seed))
