"""The laws of the cosine loss: the twin obeys them, and each notices what it is there for."""

import pytest
import torch
import torch.nn.functional as F

from minidistil_kernels import reference
from minidistil_kernels.testing import check_cosine_loss
from minidistil_kernels.testing.cosine_loss import LAWS
from tests.kernels.testing.wrong import (
    assert_notices,
    assert_refused,
    backward_once,
    gapless,
    noisy,
    one_buffer,
    scratch,
    wide,
)

TWIN = reference.cosine_loss


def losses(student, teacher):
    return 1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1)


def mean_of_all_tokens(student, teacher, mask):
    return losses(student, teacher).masked_fill(~mask, 0.0).mean()


def times_mask(student, teacher, mask):
    """0 * NaN is NaN."""
    return (losses(student, teacher) * mask).sum() / mask.sum().clamp(min=1)


def mean_of_selected(student, teacher, mask):
    """The mean of nothing is NaN."""
    return losses(student, teacher)[mask].mean()


def forgets_one_norm(student, teacher, mask):
    student, teacher = student.float(), teacher.float()
    cosines = (student * teacher).sum(-1) / teacher.square().sum(-1)
    return (1 - cosines).masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def of_normed(normed):
    """The right mean of 1 - dot(normed(student), normed(teacher)), the teacher a constant."""

    def loss(student, teacher, mask):
        student, teacher = (x.masked_fill(~mask[..., None], 1.0) for x in (student, teacher))
        cosines = (normed(student) * normed(teacher.detach())).sum(-1)
        return (1 - cosines).masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)

    return loss


@of_normed
def squares_in_the_dtype(x):
    return x / x.square().sum(-1, keepdim=True, dtype=torch.float32).sqrt()


@of_normed
def divides_by_0(x):
    return x.float() / x.float().norm(dim=-1, keepdim=True)


@of_normed
def of_clean_rows(x):
    return F.normalize(x.float().nan_to_num(), dim=-1)


def teacher_learns(student, teacher, mask):
    """Right but for the gradient of the teacher."""
    return TWIN(student, teacher, mask) + (teacher - teacher.detach()).float().mean()


WRONG = {
    "extreme": squares_in_the_dtype,
    "zeros": divides_by_0,
    "nan_stays": of_clean_rows,
    "teacher_is_constant": teacher_learns,
    "accurate": mean_of_all_tokens,
    "same_form": wide(TWIN),
    "inputs_stay": scratch(TWIN, "mask"),
    "any_stride": gapless(TWIN, "student"),
    "repeatable": noisy(TWIN),
    "side_by_side": one_buffer(TWIN),
    "backward_twice": backward_once(TWIN),
    "same_and_opposite": forgets_one_norm,
    "masked_do_not_count": times_mask,
    "nothing_counts": mean_of_selected,
}


def test_the_twin_obeys():
    report = check_cosine_loss(TWIN, examples=5)
    assert report.holds, report
    assert len(report.errors) == 2 * 3  # loss and gradient in three dtypes


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


def masks_the_student_only(student, teacher, mask):
    """0 * NaN of the teacher is NaN."""
    student = student.float().masked_fill(~mask[..., None], 0.0)
    cosines = F.cosine_similarity(student, teacher.detach().float(), dim=-1, eps=1e-12)
    return ((1 - cosines) * mask).sum() / mask.sum().clamp(min=1)


def test_nan_of_a_masked_teacher_is_noticed():
    assert_refused(LAWS, masks_the_student_only, "masked_do_not_count")


def test_a_mask_read_without_its_strides_is_refused():
    assert_refused(LAWS, gapless(TWIN, "mask"), "any_stride")


def test_one_that_divides_by_no_tokens_is_refused():
    def wrong(student, teacher, mask):
        return TWIN(student, teacher, mask) / (mask.numel() > 0)

    assert_refused(LAWS, wrong, "accurate")
