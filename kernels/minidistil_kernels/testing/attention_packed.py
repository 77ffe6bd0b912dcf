"""The laws of packed attention: texts one after the other, without padding.

Not here: the padded form (`attention.py`), how both are called (`attention_form.py`), dropout
(`attention_packed_dropout.py`).
"""

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from minidistil_kernels import reference
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import Errors, Layout, assert_accurate, measure, outputs_of
from minidistil_kernels.testing.attention_form import QKV, Packed
from minidistil_kernels.testing.calls import assert_any_upstream, checks_of_calls
from minidistil_kernels.testing.common import assert_same_form
from minidistil_kernels.testing.report import Law


@dataclass(frozen=True)
class Case:
    """Texts of these lengths, zero included, packed."""

    lengths: tuple[int, ...] = (5, 70)
    heads: int = 2
    width: int = 64
    dtype: torch.dtype = torch.float32
    scale: float | None = None
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `packed`."""
        shape = (sum(self.lengths), self.heads, self.width)
        ends = [0, *accumulate(self.lengths)]
        return (
            {name: drawing.normal(self.seed + i, shape, self.dtype) for i, name in enumerate(QKV)}
            | {
                "cu_seqlens": torch.tensor(ends, dtype=torch.int32, device=drawing.DEVICE),
                "max_seqlen": max(self.lengths),
            }
            | drawing.options(reference.attention, scale=self.scale)
        )


LENGTHS = st.integers(0, 20) | st.sampled_from([1, 64, 65])
CASES = st.builds(
    Case,
    lengths=st.lists(LENGTHS, min_size=1, max_size=3).map(tuple),
    heads=st.integers(1, 2),
    width=st.sampled_from([16, 24, 32, 40, 64, 80, 96, 128]),
    dtype=drawing.DTYPES,
    scale=st.sampled_from([None, 0.1]),
    seed=drawing.SEEDS,
)
# For laws about what calls owe each other.
SHORT = CASES.map(
    lambda case: replace(case, lengths=tuple(min(n, 20) for n in case.lengths[:2]), heads=1)
)
# Those of `attention_cases.py`, and texts of no token at both ends and between.
HARD = (
    Case((257,), 1, 16),
    Case((0, 130, 0, 7, 0), 1, 40, torch.float16),
    Case((9, 2), 5, 32),
    Case((20,), 1, 16, scale=0.5),
)
HARD_ENOUGH = (Case((3, 70, 1), 2, 40, torch.bfloat16),)


def exact(query: Tensor, key: Tensor, value: Tensor, **rest: Any) -> Tensor:
    """The specification; one function serves both forms."""
    return outputs_of(reference.attention(query, key, value, **rest))[0]


def accurate(fn: Packed, case: Case) -> None:
    """Packed equals the reference text by text, forward and backward."""
    assert_accurate(measure(fn, exact, exact, case.inputs(), QKV))


def same_form(fn: Packed, case: Case) -> None:
    """Packed returns the context alone, with the shape and dtype of the query."""
    inputs = case.inputs()
    assert_same_form(fn(**inputs), inputs["query"])


def texts_are_apart(fn: Packed, case: Case) -> None:
    """Packed texts do not see each other: changing the last changes no bit of the others."""
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
    """Packed tokens and heads may lie in memory in any order, with gaps; only K has stride 1."""
    inputs = case.inputs()
    # No two alike, so that the strides of one do not serve for another.
    inputs["query"] = drawing.strided(inputs["query"].transpose(0, 1)).transpose(0, 1)
    inputs["key"] = drawing.strided(inputs["key"])
    inputs["value"] = inputs["value"].transpose(0, 1).contiguous().transpose(0, 1)
    inputs |= drawing.gaps(inputs)
    assert_accurate(measure(fn, exact, exact, inputs, QKV))


def any_upstream(fn: Packed, case: Case) -> None:
    """The gradient of packed contexts may lie in any order, with gaps, or be expanded."""

    def errors(layout: Layout) -> list[Errors]:
        return measure(fn, exact, exact, case.inputs(), QKV, layout)

    assert_any_upstream(errors)


inputs_stay, repeatable, *of_calls = checks_of_calls(lambda fn: fn, QKV)
PACKED_LAWS = [
    Law(accurate, CASES, HARD),
    *(
        Law(check, CASES, HARD_ENOUGH)
        for check in (same_form, texts_are_apart, longest_is_a_bound, any_stride, any_upstream)
    ),
    *(Law(check, CASES, HARD_ENOUGH, "Packed: ") for check in (inputs_stay, repeatable)),
    *(Law(check, SHORT, subject="Packed: ") for check in of_calls),
]
