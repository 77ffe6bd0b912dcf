"""The laws of both cross-entropies: the twins obey them, each notices what it is there for."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from minidistil_kernels import reference
from minidistil_kernels.testing import check_cross_entropy, check_linear_cross_entropy
from minidistil_kernels.testing.accuracy import FLOOR
from minidistil_kernels.testing.cross_entropy import LAWS, LINEAR_LAWS, Case
from tests.kernels.testing.wrong import (
    all_or_nothing,
    assert_notices,
    assert_refused,
    backward_once,
    by_default,
    changed,
    gapless,
    ignores,
    noisy,
    one_buffer,
    refuses,
    scratch,
    wide,
)

TWIN, LINEAR_TWIN = reference.cross_entropy, reference.linear_cross_entropy


def mean_of_all_rows(logits, labels, ignore_index=-100):
    total = F.cross_entropy(logits.float(), labels, ignore_index=ignore_index, reduction="sum")
    return total / len(labels)


def pytorchs_own(logits, labels, ignore_index=-100):
    """0 / 0 where every label is ignored."""
    return F.cross_entropy(logits.float(), labels, ignore_index=ignore_index)


def ignored_is_class_0(logits, labels, ignore_index=-100):
    return F.cross_entropy(logits.float(), labels.clamp(min=0))


def mean_of(rows):
    """The mean of `rows(logits, labels)` where the label is not ignored."""

    def loss(logits, labels, ignore_index=-100):
        keep = labels != ignore_index
        losses = rows(logits.float(), labels.clamp(min=0)[:, None])
        return losses.masked_fill(~keep, 0.0).sum() / keep.sum().clamp(min=1)

    return loss


def chosen(logits, labels):
    return logits.gather(1, labels)[:, 0]


@mean_of
def without_maximum(logits, labels):
    return logits.exp().sum(-1).log() - chosen(logits, labels)


@mean_of
def in_base_2(logits, labels):
    """Right: exp(x) is 2^(x log2 e), and a GPU's unit computes 2^x."""
    logits = logits * math.log2(math.e)
    top = logits.detach().amax(-1, keepdim=True)
    lse = (logits - top).exp2().sum(-1).log2() + top[:, 0]
    return (lse - chosen(logits, labels)) * math.log(2)


@mean_of
def sums_the_logits(logits, labels):
    """Right but for a logit of -inf, 0 times which is NaN: the label's, picked by a product."""
    one_hot = torch.zeros_like(logits).scatter(1, labels, 1.0)
    return logits.logsumexp(-1) - (logits * one_hot).sum(-1)


WRONG = {
    "accurate": mean_of_all_rows,
    "same_form": wide(TWIN),
    "inputs_stay": scratch(TWIN, "labels"),
    "any_stride": gapless(TWIN, "logits"),
    "repeatable": noisy(TWIN),
    "side_by_side": one_buffer(TWIN),
    "backward_twice": backward_once(TWIN),
    "nothing_to_learn": pytorchs_own,
    "ignored_rows_do_not_count": ignored_is_class_0,
    "uniform": lambda *inputs, **more: TWIN(*inputs, **more) / math.log(2),
    "extreme": without_maximum,
    "nan_stays": lambda logits, labels, **more: TWIN(logits.nan_to_num(), labels, **more),
    "impossible_class": sums_the_logits,
}


def after_linear(loss):
    return lambda hidden, weight, bias, labels, **more: loss(
        F.linear(hidden, weight, bias), labels, **more
    )


LINEAR_WRONG = {
    "accurate": after_linear(mean_of_all_rows),
    "same_form": changed(LINEAR_TWIN, lambda loss: loss[None]),
    "inputs_stay": scratch(LINEAR_TWIN, "hidden"),
    "any_stride": gapless(LINEAR_TWIN, "weight"),
    "repeatable": noisy(LINEAR_TWIN),
    "side_by_side": one_buffer(LINEAR_TWIN),
    "backward_twice": backward_once(LINEAR_TWIN),
    "alone": all_or_nothing(LINEAR_TWIN, "hidden", "weight", "bias"),
    "nothing_to_learn": after_linear(pytorchs_own),
    "ignored_rows_do_not_count": after_linear(ignored_is_class_0),
    "extreme": after_linear(without_maximum),
    "impossible_class": after_linear(sums_the_logits),
    "nan_stays": after_linear(WRONG["nan_stays"]),
}


def test_the_twin_obeys():
    report = check_cross_entropy(TWIN, examples=5)
    assert report.holds, report
    assert len(report.errors) == 2 * 3  # loss and gradient in three dtypes


def test_the_linear_twin_obeys():
    report = check_linear_cross_entropy(LINEAR_TWIN, examples=5)
    assert report.holds, report
    assert len(report.errors) == 4 * 3  # loss and three gradients in three dtypes


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


@pytest.mark.parametrize("law", LINEAR_LAWS, ids=lambda law: law.check.__name__)
def test_no_linear_law_is_empty(law):
    assert_notices(law, LINEAR_WRONG)


def labels_above_ignored(labels, ignore_index=-100, **rest):
    """Takes smaller labels for ignored, too."""
    return TWIN(labels=labels.clamp(min=ignore_index), ignore_index=ignore_index, **rest)


ALSO_WRONG = {
    "another default": by_default(TWIN, ignore_index=-1),
    "labels below the ignored": labels_above_ignored,
    "many rows": lambda logits, labels, **more: TWIN(logits[:128], labels[:128], **more),
    "no rows": pytorchs_own,
}
LINEAR_ALSO_WRONG = {
    "another default": by_default(LINEAR_TWIN, ignore_index=-1),
    "many columns": refuses(LINEAR_TWIN, lambda hidden, **rest: hidden.shape[1] > 768),
    "many classes": refuses(LINEAR_TWIN, lambda weight, **rest: len(weight) > 4096),
    "many rows": refuses(LINEAR_TWIN, lambda hidden, **rest: len(hidden) > 256),
    "no rows": refuses(LINEAR_TWIN, lambda hidden, **rest: len(hidden) == 0),
}


@pytest.mark.parametrize("what", ALSO_WRONG)
def test_is_refused(what):
    assert_refused(LAWS, ALSO_WRONG[what], "accurate")


@pytest.mark.parametrize("what", LINEAR_ALSO_WRONG)
def test_linear_is_refused(what):
    assert_refused(LINEAR_LAWS, LINEAR_ALSO_WRONG[what], "accurate")


@pytest.mark.parametrize(("twin", "laws"), [(TWIN, LAWS), (LINEAR_TWIN, LINEAR_LAWS)])
def test_one_that_ignores_ignore_index_is_refused(twin, laws):
    assert_refused(laws, ignores(twin, "ignore_index"), "accurate")


@pytest.mark.parametrize(("twin", "laws"), [(TWIN, LAWS), (LINEAR_TWIN, LINEAR_LAWS)])
def test_labels_read_without_their_strides_are_refused(twin, laws):
    assert_refused(laws, gapless(twin, "labels"), "any_stride")


def test_right_in_base_2():
    assert check_cross_entropy(in_base_2).holds
    assert check_linear_cross_entropy(after_linear(in_base_2)).holds


@pytest.mark.parametrize("dtype", FLOOR)
def test_the_rounding_of_a_loss_of_0_breaks_no_law(dtype):
    """Of one class the exact loss is 0, and so is the error of PyTorch's own."""
    case = Case(1, 1, 0.0, dtype, 5.0)
    (accurate,) = (law for law in LAWS if law.check.__name__ == "accurate")
    for seed in range(20):
        accurate.check(in_base_2, replace(case, seed=seed))
