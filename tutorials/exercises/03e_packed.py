"""Laws of `attend(query, key, value, cu_seqlens)`: texts of any lengths, none sees another."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal
from minidistil.ops.attention import resolve_attention

HINTS = [
    "pairwise([0, 3, 8]) gives (0, 3) and (3, 8): the first token of each text, and its end.",
    "query[first:end] is (n, H, K). A matrix product needs (H, n, K): transpose(0, 1).",
    "Attend as in 03b, then transpose(0, 1) once more into context[first:end].",
]
WRONG = {
    "all texts are one": ("pairwise(cu_seqlens.tolist())", "[(0, len(query))]"),
    "the last text is left out": ("cu_seqlens.tolist()", "cu_seqlens[:-1].tolist()"),
    "the texts before are read, too": (
        "x[first:end].transpose(0, 1) for x",
        "x[first if x is query else 0 : end].transpose(0, 1) for x",
    ),
    "heads attend to heads": (
        "(x[first:end].transpose(0, 1) for x in (query, key, value))\n"
        "        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5\n"
        "        context[first:end] = (scores.softmax(-1) @ v).transpose(0, 1)",
        "(x[first:end] for x in (query, key, value))\n"
        "        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5\n"
        "        context[first:end] = scores.softmax(-1) @ v",
    ),
    "reshaped where axes must change places": (
        "(scores.softmax(-1) @ v).transpose(0, 1)",
        "(scores.softmax(-1) @ v).reshape(end - first, *query.shape[1:])",
    ),
    "softmax along the queries": ("softmax(-1)", "softmax(-2)"),
}


@dataclass(frozen=True)
class Case:
    """Texts of these lengths, end to end; normal queries, keys and values."""

    lengths: tuple[int, ...] = (1, 2)
    heads: int = 1
    width: int = 2
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def inputs(self):
        shape = (3, sum(self.lengths), self.heads, self.width)
        return normal(self.seed, shape, self.dtype).unbind()

    def ends(self):
        return [0, *accumulate(self.lengths)]

    def cu_seqlens(self):
        return torch.tensor(self.ends(), dtype=torch.int32)


CASES = st.builds(
    Case,
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple),
    heads=st.integers(1, 3),
    width=st.integers(1, 4),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
HARD = [Case(), Case((3, 0, 2), heads=2)]


def equals(answer, case):
    """The context is that of the library's packed attention."""
    inputs, cu_seqlens = case.inputs(), case.cu_seqlens()
    packed = resolve_attention("eager").packed
    want = packed(*inputs, cu_seqlens, max(case.lengths))
    assert_close(answer.attend(*inputs, cu_seqlens), want)


def no_leak(answer, case):
    """Other numbers in one text change nothing in the others."""
    inputs, cu_seqlens = case.inputs(), case.cu_seqlens()
    before = answer.attend(*inputs, cu_seqlens)
    for first, end in pairwise(case.ends()):
        changed = [x.clone() for x in inputs]
        for x in changed:
            x[first:end] = 3 - 2 * x[first:end]
        after = answer.attend(*changed, cu_seqlens).clone()
        after[first:end] = before[first:end]  # the text itself may change
        assert_close(after, before)


LAWS = [Law(equals, CASES, HARD), Law(no_leak, CASES, HARD)]
