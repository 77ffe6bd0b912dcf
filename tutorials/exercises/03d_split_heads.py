"""Laws of `split_heads(hidden, n_heads)` and `merge_heads(heads)`: right columns, any strides."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close

HINTS = [
    "Two steps: make two axes of the last one, (B, S, H, K); then let two axes change places.",
    "Back: the same two steps in the opposite order. The axes that become one must be neighbours.",
    "unflatten(-1, (n_heads, -1)) and transpose(1, 2); flatten(-2) copies where view can't.",
]
WRONG = {
    "split by a plain reshape": (
        "hidden.unflatten(-1, (n_heads, -1)).transpose(1, 2)",
        "hidden.reshape(hidden.shape[0], n_heads, hidden.shape[1], -1)",
    ),
    "the columns are dealt out one at a time": (
        "unflatten(-1, (n_heads, -1)).transpose(1, 2)",
        "unflatten(-1, (-1, n_heads)).movedim(-1, 1)",
    ),
    "the heads stay behind the tokens": ("(n_heads, -1)).transpose(1, 2)", "(n_heads, -1))"),
    "merged by a plain reshape": (
        "heads.transpose(1, 2).flatten(-2)",
        "heads.reshape(heads.shape[0], heads.shape[2], -1)",
    ),
    "merged with the columns of the heads interleaved": (
        "heads.transpose(1, 2)",
        "heads.permute(0, 2, 3, 1)",
    ),
    "merged by view": ("flatten(-2)", "view(heads.shape[0], heads.shape[2], -1)"),
}


@dataclass(frozen=True)
class Case:
    """Numbers 0, 1, 2, ... of these sizes; `order` says which axes they run along in memory."""

    batch: int = 1
    length: int = 2
    heads: int = 2
    width: int = 2
    order: str = "as usual"
    dtype: torch.dtype = torch.float32

    def hidden(self):
        return self._numbers(self.batch, self.length, self.heads * self.width)

    def split(self):
        return self._numbers(self.batch, self.heads, self.length, self.width)

    def _numbers(self, *shape):
        if self.order == "as usual":
            return self._count(shape)
        if self.order == "batch second":
            return self._count((shape[1], shape[0], *shape[2:])).transpose(0, 1)
        return self._count((*shape[:-2], shape[-1], shape[-2])).transpose(-1, -2)

    def _count(self, shape):
        return torch.arange(torch.Size(shape).numel(), dtype=self.dtype).reshape(shape)


CASES = st.builds(
    Case,
    batch=st.integers(1, 2),
    length=st.integers(1, 3),
    heads=st.integers(1, 3),
    width=st.integers(1, 3),
    order=st.sampled_from(["as usual", "batch second", "last two swapped"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)


def split(answer, case):
    """Head h of a token has its columns h K to (h + 1) K."""
    hidden, K = case.hidden(), case.width
    want = torch.empty(case.batch, case.heads, case.length, K, dtype=case.dtype)
    for h in range(case.heads):
        for s in range(case.length):
            want[:, h, s] = hidden[:, s, h * K : (h + 1) * K]
    assert_close(answer.split_heads(hidden, case.heads), want)


def merge(answer, case):
    """What head h has of a token comes to its columns h K to (h + 1) K."""
    heads, K = case.split(), case.width
    want = torch.empty(case.batch, case.length, case.heads * K, dtype=case.dtype)
    for h in range(case.heads):
        for s in range(case.length):
            want[:, s, h * K : (h + 1) * K] = heads[:, h, s]
    assert_close(answer.merge_heads(heads), want)


def and_back(answer, case):
    """Split and merged, every number is where it was."""
    hidden = case.hidden()
    again = answer.merge_heads(answer.split_heads(hidden, case.heads))
    assert torch.equal(again, hidden), f"{hidden.tolist()} became {again.tolist()}"


LAWS = [
    Law(split, CASES, [Case(), Case(2, 3, 2, 3, "last two swapped")]),
    Law(merge, CASES, [Case(), Case(2, 3, 2, 3, "batch second")]),
    Law(and_back, CASES, [Case(2, 3, 2, 3)]),
]
