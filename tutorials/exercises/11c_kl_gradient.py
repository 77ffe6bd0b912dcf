"""Laws of `divergence_backward(student, teacher, T)`: autograd's numbers, without autograd."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.distillation import losses
from minidistil.learn.laws import Law, assert_close, normal, without_autograd

HINTS = [
    "-sum_i p_i ((1 if i = j else 0) - q_j) is q_j - p_j, because the p_i sum to 1.",
    "T^2 in front, and 1 / T from the derivative of log q: which power of T is left?",
    "Two softmaxes of softened logits, their difference, times T.",
]
WRONG = {
    "T squared": ("T * (q - p)", "T**2 * (q - p)"),
    "no T": ("T * (q - p)", "q - p"),
    "the wrong sign": ("T * (q - p)", "T * (p - q)"),
    "the teacher is not softened": ("(teacher / T)", "teacher"),
    "the mean of the rows": ("T * (q - p)", "T * (q - p) / len(student)"),
    "the teacher's part is left out": ("T * (q - p)", "T * q"),
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


def equals(answer, case):
    """It is what autograd makes of the library's divergence."""
    student, teacher = case.inputs()
    student.requires_grad_()
    (want,) = torch.autograd.grad(losses.divergence(student, teacher, case.T), student)
    with without_autograd():
        got = answer.divergence_backward(student.detach(), teacher, case.T)
    assert_close(got, want)


def hot(answer, case):
    """At a very high T it is (s - t) / V, of logits whose mean is 0: it does not vanish."""
    student, teacher = normal(case.seed, (2, case.N, case.V), torch.float64)
    student, teacher = (x - x.mean(-1, keepdim=True) for x in (student, teacher))
    got = answer.divergence_backward(student, teacher, 1e5)
    assert_close(got, (student - teacher) / case.V, 1e-3)


LAWS = [Law(equals, CASES, [Case(), Case(impossible=1)]), Law(hot, CASES)]
