"""The laws of add + LayerNorm: the twin obeys them, and each notices what it is there for."""

import pytest
import torch.nn.functional as F

from minidistil_kernels import reference
from minidistil_kernels.testing import check_add_layer_norm
from minidistil_kernels.testing.add_layer_norm import DIFFERENTIABLE, LAWS
from tests.kernels.testing.wrong import (
    all_or_nothing,
    assert_notices,
    assert_refused,
    backward_once,
    by_default,
    gapless,
    gapless_upstream,
    ignores,
    noisy,
    one_buffer,
    refuses,
    scratch,
    wide,
)

TWIN = reference.add_layer_norm


def variance_of_a_sample(x, residual, weight, bias, eps=1e-12):
    """Divides by D - 1."""
    total = x.double() + residual.double()
    normed = (total - total.mean(-1, keepdim=True)) / total.std(-1, keepdim=True)
    return (normed * weight + bias).to(x.dtype)


def root_mean_square(x, residual, weight, bias, eps=1e-12):
    """Does not subtract the mean: RMSNorm."""
    total = x.double() + residual.double()
    return (total / total.square().mean(-1, keepdim=True).sqrt() * weight + bias).to(x.dtype)


def residual_afterwards(x, residual, weight, bias, eps=1e-12):
    return F.layer_norm(x, weight.shape, weight, bias) + residual


WRONG = {
    "accurate": variance_of_a_sample,
    "same_form": wide(TWIN),
    "inputs_stay": scratch(TWIN, "residual"),
    "any_stride": gapless(TWIN, "residual"),
    "repeatable": noisy(TWIN),
    "side_by_side": one_buffer(TWIN),
    "backward_twice": backward_once(TWIN),
    "alone": all_or_nothing(TWIN, *DIFFERENTIABLE),
    "mean_0_variance_1": root_mean_square,
    "symmetric": residual_afterwards,
    "nan_stays": lambda x, **rest: TWIN(x.nan_to_num(), **rest),
    "any_upstream": gapless_upstream(TWIN),
}


def weight_learns_of_few_rows(x, residual, weight, bias, eps=1e-12):
    return TWIN(x, residual, weight.detach() if len(x) > 256 else weight, bias, eps)


ALSO_WRONG = {
    "eps": ignores(TWIN, "eps"),
    "another default": by_default(TWIN, eps=1e-5),
    "one axis": refuses(TWIN, lambda x, **rest: x.ndim == 1),
    "three axes": refuses(TWIN, lambda x, **rest: x.ndim == 3),
    "four axes": refuses(TWIN, lambda x, **rest: x.ndim == 4),
    "many rows": weight_learns_of_few_rows,
}


def test_the_twin_obeys():
    report = check_add_layer_norm(TWIN, examples=5)
    assert report.holds, report
    assert len(report.errors) == 5 * 3  # result and four gradients in three dtypes


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


@pytest.mark.parametrize("what", ALSO_WRONG)
def test_is_refused(what):
    assert_refused(LAWS, ALSO_WRONG[what], "accurate")


def test_statistics_in_half_precision_are_noticed():
    """The sum is rounded before its mean is taken, which PyTorch's own result is not."""

    def half(x, residual, weight, bias, eps=1e-12):
        total = x + residual
        centred = total - total.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True).float() + eps
        return centred / variance.sqrt().to(x.dtype) * weight + bias

    result = LAWS[0].try_on(half, 40)
    assert not result.holds and "float32" not in result.smallest_case, result
