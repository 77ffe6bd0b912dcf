"""Laws of `attention_backward(q, k, v, c, dc)`: autograd's numbers, without autograd."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal, without_autograd

HINTS = [
    "The shapes decide: dv is (T, K), from p (S, T) and dc (S, K); dp is (S, T), from dc and v.",
    "delta = (dc * c).sum(-1, keepdim=True), one number a query; dz = p * (dp - delta).",
    "dq is dz @ k and dk is dz.mT @ q, each times K ** -0.5.",
]
WRONG = {
    "delta is left out": ("p * (dp - delta)", "p * dp"),
    "one delta for all queries": ("(dc * c).sum(-1, keepdim=True)", "(dc * c).sum()"),
    "delta of each column": ("(dc * c).sum(-1, keepdim=True)", "(p * dp).sum(0, keepdim=True)"),
    "dq without the scale": ("dq = dz @ k * scale", "dq = dz @ k"),
    "dk without the scale": ("dk = dz.mT @ q * scale", "dk = dz.mT @ q"),
    "dv with the scale": ("dv = p.mT @ dc", "dv = p.mT @ dc * scale"),
    "scores without the scale": ("q @ k.mT * scale, -1", "q @ k.mT, -1"),
}


@dataclass(frozen=True)
class Case:
    """Normal queries, keys, values and gradient."""

    queries: int = 2
    keys: int = 3
    K: int = 4
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def inputs(self):
        q, dc = normal(self.seed, (2, self.queries, self.K), self.dtype)
        k, v = normal(self.seed + 1000, (2, self.keys, self.K), self.dtype)
        return q, k, v, dc


CASES = st.builds(
    Case,
    queries=st.integers(1, 5),
    keys=st.integers(1, 5),
    K=st.integers(1, 5),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)


def equals(answer, case):
    """It is what autograd computes."""
    q, k, v, dc = case.inputs()
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    context = forward(*leaves)
    wanted = torch.autograd.grad(context, leaves, dc)
    with without_autograd():
        found = answer.attention_backward(q, k, v, context.detach(), dc)
    for name, got, want in zip(("dq", "dk", "dv"), found, wanted, strict=True):
        try:
            assert_close(got, want)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def shift(answer, case):
    """The rows of dk sum to 0: one vector added to all keys changes no weight."""
    q, k, v, dc = case.inputs()
    _, dk, _ = answer.attention_backward(q, k, v, forward(q, k, v), dc)
    assert_close(dk.sum(0), torch.zeros(case.K, dtype=case.dtype))


def forward(q, k, v):
    return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v


LAWS = [Law(equals, CASES, [Case()]), Law(shift, CASES)]
