"""Laws of `layer_norm_backward(x, weight, g)`: autograd's numbers, without autograd."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal, without_autograd

HINTS = [
    "Means are over a row, mean(-1, keepdim=True); sums are over rows, one number for each column.",
    "h = g * weight, and the second mean is (h * n).mean(-1, keepdim=True).",
    "g.reshape(-1, width) makes one axis of all axes in front; sum(0) goes over it.",
]
WRONG = {
    "the mean is taken for constant": (" - h.mean(-1, keepdim=True)", ""),
    "the variance is taken for constant": (" - n * along", ""),
    "the factor r is left out": ("r * (h - h.mean", "(h - h.mean"),
    "the weight is left out of dx": ("h = g * weight", "h = g"),
    "dweight is formed with x": ("(g * n)", "(g * x)"),
    "dweight is formed with the weight": ("(g * n)", "(h * n)"),
    "dbias is summed over one axis only": ("g.reshape(-1, width).sum(0)", "g.sum(0)"),
}


@dataclass(frozen=True)
class Case:
    """Normal x, times `scale`, normal weight and gradient, in float64."""

    shape: tuple[int, ...] = (2, 3)
    scale: float = 1.0
    seed: int = 0

    def inputs(self):
        x = normal(self.seed, self.shape, torch.float64) * self.scale
        weight = normal(self.seed + 1000, self.shape[-1:], torch.float64)
        return x, weight, normal(self.seed + 2000, self.shape, torch.float64)


CASES = st.builds(
    Case,
    shape=st.builds(
        lambda front, width: (*front, width),
        st.lists(st.integers(1, 3), max_size=2),
        st.integers(2, 6),
    ),
    scale=st.sampled_from([1.0, 10.0, 0.1]),
    seed=st.integers(0, 99),
)
HARD = [Case(), Case((3,)), Case((2, 2, 4))]


def _gradients(case):
    x, weight, g = case.inputs()
    bias = torch.zeros_like(weight)
    leaves = [x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()]
    y = F.layer_norm(x, weight.shape, weight, bias, eps=1e-12)
    return torch.autograd.grad(y, leaves, g)


def _answers(answer, case):
    with without_autograd():
        return answer.layer_norm_backward(*case.inputs())


def dx(answer, case):
    """The gradient of x is what autograd computes."""
    want, _, _ = _gradients(case)
    got, _, _ = _answers(answer, case)
    assert_close(got, want)


def parameters(answer, case):
    """The gradients of weight and bias are what autograd computes."""
    _, dweight, dbias = _gradients(case)
    _, got_weight, got_bias = _answers(answer, case)
    assert_close(got_weight, dweight)
    assert_close(got_bias, dbias)


def shift(answer, case):
    """Each row of dx sums to 0: a constant that is added to x changes nothing."""
    got, _, _ = _answers(answer, case)
    assert_close(got.sum(-1), torch.zeros(case.shape[:-1], dtype=torch.float64))


LAWS = [Law(dx, CASES, HARD), Law(parameters, CASES, HARD), Law(shift, CASES, HARD)]
