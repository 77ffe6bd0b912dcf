"""Laws of `gelu(x)` and `gelu_backward(x, g)`: PyTorch's numbers, formed by hand."""

from dataclasses import dataclass
from unittest.mock import patch

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal, without_autograd

HINTS = [
    "torch.erf is the error function. gelu(1) is 0.841345: there is 0.841345 of the bell below 1.",
    "The slope has two terms: differentiate x and keep Phi, then the other way round.",
    "The bell is exp(-x**2 / 2) / sqrt(2 pi); the backward pass is g * (Phi + x * bell).",
]
WRONG = {
    "the approximation by tanh": (
        "return x * normal_cdf(x)",
        "return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))",
    ),
    "the approximation by a sigmoid": (
        "return x * normal_cdf(x)",
        "return x * torch.sigmoid(1.702 * x)",
    ),
    "PyTorch's own is called": (
        "return x * normal_cdf(x)",
        "return torch.nn.functional.gelu(x)",
    ),
    "erf of x itself": ("torch.erf(x / math.sqrt(2))", "torch.erf(x)"),
    "the share is not halved": ("return 0.5 * (1 +", "return (1 +"),
    "the slope of Phi is left out": ("(normal_cdf(x) + x * density)", "normal_cdf(x)"),
    "the bell is not multiplied by x": ("x * density", "density"),
    "the bell is not divided": (" / math.sqrt(2 * math.pi)", ""),
    "the gradient from above is left out": ("return g * (", "return ("),
}


@dataclass(frozen=True)
class Case:
    """These numbers; the gradient from above is normal."""

    x: tuple[float, ...] = (1.0,)
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def inputs(self):
        return torch.tensor(self.x, dtype=self.dtype), normal(self.seed, (len(self.x),), self.dtype)


CASES = st.builds(
    Case,
    x=st.lists(st.integers(-24, 24).map(lambda n: n / 4), min_size=1, max_size=4).map(tuple),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
HARD = [Case((-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)), Case((-30.0, 30.0))]


def refuse(*_, **__):
    raise AssertionError("F.gelu is called: form it by hand")


def values(answer, case):
    """gelu is PyTorch's exact GELU."""
    x, _ = case.inputs()
    with patch("torch.nn.functional.gelu", refuse):
        got = answer.gelu(x)
    assert_close(got, F.gelu(x))


def slope(answer, case):
    """gelu_backward gives what autograd computes."""
    x, g = case.inputs()
    leaf = x.clone().requires_grad_()
    (want,) = torch.autograd.grad(F.gelu(leaf), leaf, g)
    with without_autograd(), patch("torch.nn.functional.gelu", refuse):
        got = answer.gelu_backward(x, g)
    assert_close(got, want)


LAWS = [Law(values, CASES, HARD), Law(slope, CASES, HARD)]
