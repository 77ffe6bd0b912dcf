"""The laws of how attention treats its memory, and of what its calls owe each other.

Not here: the laws of what it computes (`attention.py`), the same of the packed form
(`attention_packed.py`), of all other operations (`common.py`).
"""

from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import Errors, Layout, assert_accurate, measure
from minidistil_kernels.testing.attention_cases import (
    CASES,
    HARD_ENOUGH,
    SHORT,
    Case,
    exact,
    sdpa,
)
from minidistil_kernels.testing.attention_form import QKV, Padded, context_of
from minidistil_kernels.testing.calls import assert_any_upstream, checks_of_calls
from minidistil_kernels.testing.report import Law

inputs_stay, repeatable, side_by_side, backward_twice, alone = checks_of_calls(context_of, QKV)


def any_stride(fn: Padded, case: Case) -> None:
    """The axes may lie in memory in any order, with gaps; the last has stride 1 but in a mask."""
    inputs = case.inputs()
    # No two alike, so that the strides of one do not serve for another. The model has all three as
    # the query here: (B, S, H, K) in memory.
    inputs["query"] = drawing.strided(inputs["query"].transpose(1, 2)).transpose(1, 2)
    inputs["key"] = drawing.strided(inputs["key"])
    inputs["value"] = inputs["value"].transpose(1, 2).contiguous().transpose(1, 2)
    inputs |= drawing.gaps(inputs)
    assert_accurate(measure(context_of(fn), exact, sdpa, inputs, QKV))


def any_upstream(fn: Padded, case: Case) -> None:
    """The gradient of the context may lie in any order, with gaps, or be expanded."""

    def errors(layout: Layout) -> list[Errors]:
        return measure(context_of(fn), exact, sdpa, case.inputs(), QKV, layout)

    assert_any_upstream(errors)


CALL_LAWS = [
    *(
        Law(check, CASES, HARD_ENOUGH)
        for check in (inputs_stay, any_stride, any_upstream, repeatable)
    ),
    *(Law(check, SHORT) for check in (side_by_side, backward_twice, alone)),
]
