"""The laws of how attention treats its memory, and of what its calls owe each other.

Not here: the laws of what it computes (`attention.py`), the same of the packed form
(`attention_packed.py`), of all other operations (`common.py`).
"""

from dataclasses import replace

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
from minidistil_kernels.testing.calls import (
    assert_alone,
    assert_any_upstream,
    assert_backward_twice,
    assert_inputs_stay,
    assert_repeatable,
    assert_side_by_side,
)
from minidistil_kernels.testing.report import Law


def inputs_stay(fn: Padded, case: Case) -> None:
    """Leaves its inputs as they are, forward and backward."""
    assert_inputs_stay(context_of(fn), case.inputs(), QKV)


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


def repeatable(fn: Padded, case: Case) -> None:
    """The same call gives the same bits, forward and backward."""
    assert_repeatable(context_of(fn), case.inputs(), QKV)


def side_by_side(fn: Padded, case: Case) -> None:
    """A call stands, and its gradient, whatever is called in between."""
    others = replace(case, seed=case.seed + 100).inputs()
    assert_side_by_side(context_of(fn), case.inputs(), others, QKV)


def backward_twice(fn: Padded, case: Case) -> None:
    """A second backward of one call gives the same bits."""
    assert_backward_twice(context_of(fn), case.inputs(), QKV)


def alone(fn: Padded, case: Case) -> None:
    """The gradient of one input is the same where no other gets one."""
    assert_alone(context_of(fn), case.inputs(), QKV)


CALL_LAWS = [
    *(
        Law(check, CASES, HARD_ENOUGH)
        for check in (inputs_stay, any_stride, any_upstream, repeatable)
    ),
    *(Law(check, SHORT) for check in (side_by_side, backward_twice, alone)),
]
