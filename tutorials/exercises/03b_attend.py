"""Laws of `attend(query, key, value)`: any number of texts, heads and tokens."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal
from minidistil.ops.attention import eager

HINTS = [
    "All dot products of all queries with all keys are one matrix product. Which axes must swap?",
    "key.transpose(-1, -2) is (B, H, K, S); the scores are (B, H, S, S), a row for each query.",
    "Divide by the root of query.shape[-1]; softmax along the keys, -1; then weights @ value.",
]
WRONG = {
    "the scores are not scaled": (" * query.shape[-1] ** -0.5", ""),
    "divided by K, not by its root": ("** -0.5", "** -1.0"),
    "divided by the root of D": (
        "query.shape[-1] ** -0.5",
        "(query.shape[1] * query.shape[-1]) ** -0.5",
    ),
    "softmax along the queries": ("softmax(-1)", "softmax(-2)"),
    "query and key have changed places": ("query @ key.transpose", "key @ query.transpose"),
    "scores are returned for weights": ("value, weights", "value, scores"),
}


@dataclass(frozen=True)
class Case:
    """Normal queries, keys and values, in the layout that splitting heads leaves."""

    batch: int = 1
    heads: int = 1
    length: int = 2
    width: int = 2
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def inputs(self):
        shape = (3, self.batch, self.length, self.heads, self.width)
        return normal(self.seed, shape, self.dtype).transpose(2, 3).unbind()


CASES = st.builds(
    Case,
    batch=st.integers(1, 2),
    heads=st.integers(1, 3),
    length=st.integers(1, 4),
    width=st.integers(1, 5),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)


def weights(answer, case):
    """The weights are those of the library's eager attention."""
    query, key, value = case.inputs()
    _, got = answer.attend(query, key, value)
    assert_close(got, eager(query, key, value, need_weights=True)[1])


def context(answer, case):
    """The context is that of the library's eager attention."""
    query, key, value = case.inputs()
    got, _ = answer.attend(query, key, value)
    assert_close(got, eager(query, key, value)[0])


def no_order(answer, case):
    """Keys that change places together with their values change no context."""
    query, key, value = case.inputs()
    turned, _ = answer.attend(query, key.flip(2), value.flip(2))
    assert_close(turned, answer.attend(query, key, value)[0])


LAWS = [
    Law(weights, CASES, [Case(), Case(2, 2, 3, 4)]),
    Law(context, CASES, [Case(2, 2, 3, 4)]),
    Law(no_order, CASES),
]
