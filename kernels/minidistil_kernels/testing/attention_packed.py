"""The laws of packed attention: texts one after the other, without padding.

    packed(query, key, value, cu_seqlens, max_seqlen, *, scale=None, dropout_p=0.0) -> context

query, key, value and context are (N, H, K); text b is rows cu_seqlens[b] to cu_seqlens[b + 1].

Not here: the padded form (`attention.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from minidistil_kernels import reference
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import assert_accurate, measure
from minidistil_kernels.testing.report import Law

Packed = Callable[..., Tensor]
QKV = ("query", "key", "value")


@dataclass(frozen=True)
class Case:
    """Texts of these lengths, zero included, packed."""

    lengths: tuple[int, ...] = (5, 70)
    heads: int = 2
    width: int = 64
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `packed`."""
        shape = (sum(self.lengths), self.heads, self.width)
        ends = [0, *accumulate(self.lengths)]
        return {
            name: drawing.normal(self.seed + i, shape, self.dtype) for i, name in enumerate(QKV)
        } | {
            "cu_seqlens": torch.tensor(ends, dtype=torch.int32, device=drawing.DEVICE),
            "max_seqlen": max(self.lengths),
        }


LENGTHS = st.integers(0, 20) | st.sampled_from([1, 64, 65, 129])
CASES = st.builds(
    Case,
    lengths=st.lists(LENGTHS, min_size=1, max_size=3).map(tuple),
    heads=st.integers(1, 2),
    width=st.sampled_from([16, 32, 40, 64, 80, 128]),
    dtype=drawing.DTYPES,
    seed=drawing.SEEDS,
)


def accurate(fn: Packed, case: Case) -> None:
    """Packed equals the reference text by text, forward and backward."""

    def exact(query: Tensor, key: Tensor, value: Tensor, **rest: Any) -> Tensor:
        return reference.attention(query, key, value, **rest)

    assert_accurate(measure(fn, exact, exact, case.inputs(), QKV))


def texts_are_apart(fn: Packed, case: Case) -> None:
    """Packed texts do not see each other."""
    inputs = case.inputs()
    last = sum(case.lengths[:-1])
    before = fn(**inputs)
    for name in QKV:
        inputs[name] = torch.cat([inputs[name][:last], inputs[name][last:] + 1.0])
    assert torch.equal(fn(**inputs)[:last], before[:last]), "the last text changed another"


def longest_is_a_bound(fn: Packed, case: Case) -> None:
    """`max_seqlen` is an upper bound: a larger one changes no bit."""
    inputs = case.inputs()
    larger = inputs | {"max_seqlen": inputs["max_seqlen"] + 100}
    assert torch.equal(fn(**larger), fn(**inputs)), "a larger max_seqlen gave another context"


def any_stride(fn: Packed, case: Case) -> None:
    """Tokens and heads may lie in memory in any order, with gaps; the last axis has stride 1."""
    inputs = case.inputs()
    expected = fn(**inputs)
    for name in QKV:
        inputs[name] = drawing.strided(inputs[name].transpose(0, 1)).transpose(0, 1)
    assert torch.equal(fn(**inputs), expected), "another layout gives another result"


PACKED_LAWS = [
    Law(accurate, CASES),
    Law(texts_are_apart, CASES),
    Law(longest_is_a_bound, CASES),
    Law(any_stride, CASES),
]
