"""The laws of the distillation loss: the twin obeys them, each notices what it is there for."""

import pytest
import torch.nn.functional as F

from minidistil_kernels import reference
from minidistil_kernels.testing import check_distillation_loss
from minidistil_kernels.testing.distillation_loss import LAWS
from tests.kernels.testing.wrong import (
    assert_notices,
    assert_refused,
    backward_once,
    by_default,
    gapless,
    noisy,
    one_buffer,
    scratch,
    wide,
)

TWIN = reference.distillation_loss


def with_ce(divergence):
    """The loss with another ce: T^2 / N times `divergence(log p, log q)`."""

    def loss(student, teacher, labels=None, *, temperature=2.0, alpha_ce=5.0, alpha_mlm=2.0):
        log_q = (student.float() / temperature).log_softmax(-1)
        log_p = (teacher.float() / temperature).log_softmax(-1)
        ce = temperature**2 * divergence(log_p, log_q) / len(student)
        mlm = ce.new_zeros(()) if labels is None else reference.cross_entropy(student, labels)
        return alpha_ce * ce + alpha_mlm * mlm, ce.detach(), mlm.detach()

    return loss


def kl(log_p, log_q):
    """The right one, through which a gradient reaches the teacher."""
    return F.kl_div(log_q, log_p, reduction="sum", log_target=True)


def of_probabilities(log_p, log_q):
    """The logarithm of a probability that underflows: 0 * -inf."""
    p, q = log_p.exp(), log_q.exp()
    return (p * (p.log() - q.log())).sum()


def forgets_the_weights(student, teacher, labels=None, *, temperature=2.0, **weights):
    return TWIN(student, teacher, labels, temperature=temperature)


def shows_what_learns(student, teacher, labels=None, **options):
    """Returns ce and mlm without detaching them."""
    total, _, _ = TWIN(student, teacher, labels, **options)
    ce, _, _ = TWIN(student, teacher, None, **options, alpha_ce=1.0)
    mlm, _, _ = TWIN(student, teacher, labels, **options, alpha_ce=0.0, alpha_mlm=1.0)
    return total, ce, mlm


def of_clean_students(student, *rest, **options):
    return TWIN(student.nan_to_num(), *rest, **options)


WRONG = {
    "accurate": with_ce(lambda log_p, log_q: kl(log_q, log_p)),  # KL(student || teacher)
    "same_form": wide(TWIN),
    "inputs_stay": scratch(TWIN, "student"),
    "any_stride": gapless(TWIN, "teacher"),
    "repeatable": noisy(TWIN),
    "side_by_side": one_buffer(TWIN),
    "backward_twice": backward_once(TWIN),
    "adds_up": forgets_the_weights,
    # The cross-entropy with soft labels: has the right gradient, but not the minimum 0.
    "nothing_left_to_learn": with_ce(lambda log_p, log_q: -(log_p.exp() * log_q).sum()),
    "never_negative": with_ce(lambda log_p, log_q: -kl(log_p, log_q)),
    "extreme": with_ce(of_probabilities),
    "nan_stays": of_clean_students,
    "teacher_is_constant": with_ce(kl),
    # 0 * (-inf - log q)
    "impossible_class": with_ce(lambda log_p, log_q: (log_p.exp() * (log_p - log_q)).sum()),
    "only_the_total_learns": shows_what_learns,
}


def test_the_twin_obeys():
    report = check_distillation_loss(TWIN, examples=5)
    assert report.holds, report
    assert len(report.errors) == 4 * 3  # three losses and a gradient in three dtypes


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


def gradient_of_5_and_2(student, teacher, labels=None, **options):
    """The right total, with the gradient of the default weights."""
    total, ce, mlm = TWIN(student.detach(), teacher, labels, **options)
    rest = {name: x for name, x in options.items() if name == "temperature"}
    learnt = TWIN(student, teacher, labels, **rest)[0]
    return total + learnt - learnt.detach(), ce, mlm


def test_a_gradient_with_other_weights_is_refused():
    assert_refused(LAWS, gradient_of_5_and_2, "adds_up")


def nan_of_nothing(student, *rest, **options):
    total, ce, mlm = TWIN(student, *rest, **options)
    return total / (len(student) > 0), ce, mlm


ALSO_WRONG = {"another default": by_default(TWIN, temperature=1.0), "no rows": nan_of_nothing}


@pytest.mark.parametrize("what", ALSO_WRONG)
def test_is_refused(what):
    assert_refused(LAWS, ALSO_WRONG[what], "accurate")


def test_labels_read_without_their_strides_are_refused():
    assert_refused(LAWS, gapless(TWIN, "labels"), "any_stride")


def test_one_that_loses_nan_of_the_teacher_is_refused():
    def of_clean_teachers(student, teacher, *rest, **options):
        return TWIN(student, teacher.nan_to_num(), *rest, **options)

    assert_refused(LAWS, of_clean_teachers, "nan_stays")
