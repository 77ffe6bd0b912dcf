"""Laws of `divergence(student, teacher, T)`: the library's numbers, with impossible words, too."""

import contextlib
from dataclasses import dataclass
from unittest.mock import patch

import torch
from hypothesis import strategies as st

from minidistil.distillation import losses
from minidistil.learn.laws import Law, assert_close, normal

HINTS = [
    "Is it NaN? 0 log 0 is 0 here: masked_fill with 0 where p is 0, after the product.",
    "Divide both logits by T, then take log_softmax(-1) of both: p is the exponential of log p.",
    "teacher.detach() for the constant; T**2 in front of the sum over all rows and words.",
]
WRONG = {
    "T instead of its square": ("T**2 * terms", "T * terms"),
    "the divergence turned round": ("p * (log_p - log_q)", "log_q.exp() * (log_q - log_p)"),
    "0 log 0 is NaN": (".masked_fill(p == 0, 0.0)", ""),
    "a gradient reaches the teacher": ("teacher.detach()", "teacher"),
    "the mean of the rows": ("terms.sum()", "terms.sum(-1).mean()"),
    "the teacher is not softened": ("teacher.detach() / T", "teacher.detach()"),
    "the cross-entropy, without log p": ("(log_p - log_q)", "(-log_q)"),
}


@dataclass(frozen=True)
class Case:
    """Normal logits, times `scale`; the teacher's are -inf for the first `impossible` words."""

    N: int = 2
    V: int = 3
    T: float = 2.0
    impossible: int = 0
    scale: float = 1.0
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def inputs(self):
        student, teacher = normal(self.seed, (2, self.N, self.V), self.dtype) * self.scale
        teacher[:, : min(self.impossible, self.V - 1)] = -torch.inf
        return student, teacher

    def explain(self, place):
        """Where the number that is wanted comes from."""
        student, teacher = (x.double() / self.T for x in self.inputs())
        p, log_p, log_q = teacher.softmax(-1), teacher.log_softmax(-1), student.log_softmax(-1)
        terms = (p * (log_p - log_q)).masked_fill(p == 0, 0.0)
        rows = [[round(term, 4) for term in row] for row in terms.tolist()]
        zeros = ", 0 where p is 0 (0 log 0)" if (p == 0).any() else ""
        return f"the terms p (log p - log q) are {rows}{zeros}; their sum, times T^2 = {self.T**2}"


CASES = st.builds(
    Case,
    N=st.integers(1, 4),
    V=st.integers(1, 5),
    T=st.sampled_from([2.0, 1.0, 4.0]),
    impossible=st.sampled_from([0, 1, 3]),
    scale=st.sampled_from([1.0, 30.0]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
HARD = [Case(), Case(impossible=1), Case(N=0), Case(scale=30.0)]


def equals(answer, case):
    """It is T^2 times the sum of all p (log p - log q), where 0 log 0 is 0."""
    student, teacher = case.inputs()
    want = losses.divergence(student, teacher, case.T)
    with without_kl_div():
        got = answer.divergence(student, teacher, case.T)
    # The difference of two logarithms of size 1, times T^2 = 16.
    assert_close(got, want, 1e-4, case.explain)


def gradients(answer, case):
    """The student's gradient is finite and that of this sum; the teacher's is none."""
    student, teacher = (x.requires_grad_() for x in case.inputs())
    (want,) = torch.autograd.grad(losses.divergence(student, teacher, case.T), student)
    loss = answer.divergence(student, teacher, case.T)
    got, of_teacher = torch.autograd.grad(loss, (student, teacher), materialize_grads=True)
    assert_close(got, want, 1e-4)
    assert not of_teacher.any(), "a gradient reaches the teacher"


@contextlib.contextmanager
def without_kl_div():
    """Refuse PyTorch's own divergence: it is the exercise."""

    def refuse(*_, **__):
        raise AssertionError("kl_div is called: write the sum yourself")

    with patch("torch.nn.functional.kl_div", refuse), patch("torch.kl_div", refuse):
        yield


LAWS = [Law(equals, CASES, HARD), Law(gradients, CASES, HARD)]
