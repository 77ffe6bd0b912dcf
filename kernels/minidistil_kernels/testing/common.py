"""Laws that every operation with a twin in `reference.py` obeys, and the check that tries them.

Not here: what is particular to one operation (its own file), what calls owe each other
(`calls.py`), and attention, which the model calls in a form of its own (`attention.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis.strategies import SearchStrategy

from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import (
    FLOOR,
    Errors,
    assert_accurate,
    measure,
    outputs_of,
)
from minidistil_kernels.testing.calls import assert_any_upstream, checks_of_calls
from minidistil_kernels.testing.report import Law, Report, try_laws

Operation = Callable[..., Any]


def common_laws(
    twin: Operation,
    differentiable: Sequence[str],
    rows: Sequence[str],
    cases: SearchStrategy[Any],
    hard: Sequence[Any],
    many: Sequence[Any],
    *,
    loss: bool = False,
) -> list[Law]:
    """The common laws of one operation.

    Args:
        twin: Its specification in `reference.py`.
        differentiable: The inputs that get a gradient.
        rows: The inputs whose rows may lie anywhere in memory.
        cases: Where cases come from; `case.inputs()` are the arguments.
        hard: Cases that are tried first, always.
        many: More of them, for `accurate` alone: large ones, which cost many programs, and empty.
        loss: The result is one number: its upstream gradient has no layout.
    """
    inputs_stay, repeatable, side_by_side, backward_twice, alone = checks_of_calls(
        lambda fn: fn, differentiable
    )

    def accurate(fn: Operation, case: Any) -> None:
        """Equals the reference, forward and backward, as closely as plain PyTorch does."""
        assert_accurate(measure(fn, twin, twin, case.inputs(), differentiable))

    def same_form(fn: Operation, case: Any) -> None:
        """Returns as many tensors as the reference, of its shapes and dtypes."""
        inputs = case.inputs()
        assert_same_form(fn(**inputs), twin(**inputs))

    def any_stride(fn: Operation, case: Any) -> None:
        """Rows may lie apart in memory, and so may each of the integers and booleans."""
        inputs = case.inputs()
        apart = drawing.gaps(inputs) | {name: drawing.strided(inputs[name]) for name in rows}
        assert_accurate(measure(fn, twin, twin, inputs | apart, differentiable))

    def any_upstream(fn: Operation, case: Any) -> None:
        """The gradient that comes from above may lie in any order, with gaps, or be expanded."""
        assert_any_upstream(
            lambda layout: measure(fn, twin, twin, case.inputs(), differentiable, layout)
        )

    checks = [same_form, inputs_stay, any_stride, repeatable] + [any_upstream] * (not loss)
    # What calls owe each other hardly depends on the shape: one hard case is enough.
    of_calls = [side_by_side, backward_twice] + [alone] * (len(differentiable) > 1)
    return [
        Law(accurate, cases, (*hard, *many)),
        *(Law(check, cases, hard) for check in checks),
        *(Law(check, cases, hard[:1]) for check in of_calls),
    ]


def assert_same_form(result: Any, expected: Any) -> None:
    """Hold what a function returned to the number, shapes and dtypes of what it should have."""
    actual, wanted = (
        [(tuple(x.shape), x.dtype) for x in outputs_of(r)] for r in (result, expected)
    )
    assert actual == wanted, f"returned {actual}, not {wanted}"


def check(
    twin: Operation,
    differentiable: Sequence[str],
    laws: Sequence[Law],
    case: Any,
    fn: Operation,
    examples: int,
) -> Report:
    """Try the laws of `twin` on `fn`, and its errors on one typical case in each dtype."""

    def errors(fn: Operation, case: Any) -> list[Errors]:
        return measure(fn, twin, twin, case.inputs(), differentiable)

    drawing.prepare()
    typical = [replace(case, dtype=dtype) for dtype in FLOOR]
    return try_laws(twin.__name__, fn, laws, errors, typical, examples)
