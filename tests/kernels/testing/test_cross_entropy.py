"""The laws of both cross-entropies: the twins obey them, each notices what it is there for."""

import math

import pytest
import torch.nn.functional as F

from minidistil_kernels import reference
from minidistil_kernels.testing import check_cross_entropy, check_linear_cross_entropy
from minidistil_kernels.testing.cross_entropy import LAWS, LINEAR_LAWS
from tests.kernels.testing.wrong import assert_notices, changed, gapless, noisy, scratch, wide

TWIN, LINEAR_TWIN = reference.cross_entropy, reference.linear_cross_entropy


def mean_of_all_rows(logits, labels):
    return F.cross_entropy(logits.float(), labels, reduction="sum") / len(labels)


def pytorchs_own(logits, labels):
    """0 / 0 where every label is ignored."""
    return F.cross_entropy(logits.float(), labels)


def ignored_is_class_0(logits, labels):
    return F.cross_entropy(logits.float(), labels.clamp(min=0))


def without_maximum(logits, labels):
    sums = logits.float().exp().sum(-1).log()
    chosen = logits.float().gather(1, labels.clamp(min=0)[:, None])[:, 0]
    keep = labels != -100
    return (sums - chosen).masked_fill(~keep, 0.0).sum() / keep.sum().clamp(min=1)


WRONG = {
    "accurate": mean_of_all_rows,
    "same_form": wide(TWIN),
    "inputs_stay": scratch(TWIN, "labels"),
    "any_stride": gapless(TWIN, "logits"),
    "repeatable": noisy(TWIN),
    "nothing_to_learn": pytorchs_own,
    "ignored_rows_do_not_count": ignored_is_class_0,
    "uniform": lambda logits, labels: TWIN(logits, labels) / math.log(2),
    "extreme": without_maximum,
    "nan_stays": lambda logits, labels: TWIN(logits.nan_to_num(), labels),
}


def after_linear(loss):
    return lambda hidden, weight, bias, labels: loss(F.linear(hidden, weight, bias), labels)


LINEAR_WRONG = {
    "accurate": after_linear(mean_of_all_rows),
    "same_form": changed(LINEAR_TWIN, lambda loss: loss[None]),
    "inputs_stay": scratch(LINEAR_TWIN, "hidden"),
    "any_stride": gapless(LINEAR_TWIN, "weight"),
    "repeatable": noisy(LINEAR_TWIN),
    "nothing_to_learn": after_linear(pytorchs_own),
    "ignored_rows_do_not_count": after_linear(ignored_is_class_0),
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
