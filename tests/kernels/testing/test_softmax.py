"""The laws of softmax: the twin obeys them, and each notices what it is there for."""

import math

import pytest
import torch

from minidistil_kernels import reference
from minidistil_kernels.testing import check_softmax
from minidistil_kernels.testing.softmax import LAWS
from tests.kernels.testing.wrong import (
    assert_notices,
    assert_refused,
    backward_once,
    gapless,
    gapless_upstream,
    noisy,
    one_buffer,
    one_workspace,
    refuses,
    scratch,
    wide,
)

TWIN = reference.softmax


def without_maximum(x, mask=None):
    e = x.exp() if mask is None else x.exp() * mask
    return e / e.sum(-1, keepdim=True).clamp(min=1e-30)


def one_maximum_for_all_rows(x, mask=None):
    return without_maximum((x - x.max()).double(), mask).to(x.dtype)


def infinite_mask(x, mask=None):
    return x.softmax(-1) if mask is None else x.masked_fill(~mask, -torch.inf).softmax(-1)


def finite_mask(x, mask=None):
    return x.softmax(-1) if mask is None else x.masked_fill(~mask, -1e4).softmax(-1)


WRONG = {
    "accurate": lambda x, mask: TWIN(x * math.log(2), mask),  # 2^x
    "same_form": wide(TWIN),
    "inputs_stay": scratch(TWIN, "x"),
    "any_stride": gapless(TWIN, "x"),
    "repeatable": noisy(TWIN),
    "side_by_side": one_buffer(TWIN),
    "backward_twice": backward_once(TWIN),
    "sums_to_one": finite_mask,
    "empty_row": infinite_mask,
    "shift_invariant": without_maximum,
    "extreme": without_maximum,
    "nan_stays": one_maximum_for_all_rows,
    "any_upstream": gapless_upstream(TWIN),
}


def up_to_512(x, mask=None):
    return TWIN(x, mask) * (x.shape[-1] <= 512)


ALSO_WRONG = {
    "a mask of fewer axes": refuses(TWIN, lambda x, mask: mask is not None and mask.ndim < x.ndim),
    "a broadcast mask": refuses(TWIN, lambda x, mask: mask is not None and mask.shape != x.shape),
    "a mask of one column": refuses(TWIN, lambda x, mask: mask.shape[-1] != x.shape[-1]),
    "one axis": refuses(TWIN, lambda x, mask: x.ndim == 1),
    "three axes": refuses(TWIN, lambda x, mask: x.ndim == 3),
    "four axes": refuses(TWIN, lambda x, mask: x.ndim == 4),
    "long rows": up_to_512,
}


def test_the_twin_obeys():
    report = check_softmax(TWIN, examples=5)
    assert report.holds, report
    assert len(report.errors) == 2 * 3  # result and gradient in three dtypes


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


@pytest.mark.parametrize("what", ALSO_WRONG)
def test_is_refused(what):
    assert_refused(LAWS, ALSO_WRONG[what], "accurate")


def test_a_mask_read_without_its_strides_is_refused():
    assert_refused(LAWS, gapless(TWIN, "mask"), "any_stride")


def test_a_workspace_of_all_calls_is_refused():
    """Right forward, wrong backward."""
    assert_refused(LAWS, one_workspace(TWIN), "side_by_side")


def test_rounding_alone_breaks_no_law():
    """Float32 exponentials and their sum can miss 1 by more than the eps of float32."""
    law = next(law for law in LAWS if law.check.__name__ == "sums_to_one")
    result = law.try_on(TWIN, 60)
    assert result.holds, result
