"""Laws that every operation with a twin in `reference.py` obeys, and the check that tries them.

Not here: what is particular to one operation (its own file) and attention, which the model calls
in a form of its own (`attention.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from hypothesis.strategies import SearchStrategy

from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import (
    FLOOR,
    Errors,
    Layout,
    assert_accurate,
    measure,
    outputs_of,
    run,
)
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
        many: More of them, for `accurate` alone: of many rows, each of which costs a program.
        loss: The result is one number: its upstream gradient has no layout.
    """

    def accurate(fn: Operation, case: Any) -> None:
        """Equals the reference, forward and backward, as closely as PyTorch does."""
        assert_accurate(measure(fn, twin, twin, case.inputs(), differentiable))

    def same_form(fn: Operation, case: Any) -> None:
        """Returns as many tensors as the reference, of its shapes and dtypes."""
        inputs = case.inputs()
        assert_same_form(fn(**inputs), twin(**inputs))

    def inputs_stay(fn: Operation, case: Any) -> None:
        """Leaves its inputs as they are, forward and backward."""
        assert_inputs_stay(fn, case.inputs(), differentiable)

    def any_stride(fn: Operation, case: Any) -> None:
        """Rows may lie apart in memory: only the last axis must have stride 1."""
        inputs = case.inputs()
        apart = {name: drawing.strided(inputs[name]) for name in rows}
        assert_accurate(measure(fn, twin, twin, inputs | apart, differentiable))

    def any_upstream(fn: Operation, case: Any) -> None:
        """The gradient that comes from above may lie in any order, with gaps, or be expanded."""
        assert_any_upstream(
            lambda layout: measure(fn, twin, twin, case.inputs(), differentiable, layout)
        )

    def repeatable(fn: Operation, case: Any) -> None:
        """The same call gives the same bits, forward and backward."""
        assert_repeatable(fn, case.inputs(), differentiable)

    checks = [same_form, inputs_stay, any_stride, repeatable]
    return [
        Law(accurate, cases, (*hard, *many)),
        *(Law(check, cases, hard) for check in checks + [any_upstream] * (not loss)),
    ]


def assert_any_upstream(errors: Callable[[Layout], list[Errors]]) -> None:
    """Hold the errors under upstream gradients that are no new tensor's to their bounds."""
    layouts: tuple[Layout, ...] = ("apart", "expanded")
    for layout in layouts:
        try:
            assert_accurate(errors(layout))
        except AssertionError as error:
            raise AssertionError(f"upstream gradient {layout}: {error}") from error


def assert_same_form(result: Any, expected: Any) -> None:
    """Hold what a function returned to the number, shapes and dtypes of what it should have."""
    actual, wanted = (
        [(tuple(x.shape), x.dtype) for x in outputs_of(r)] for r in (result, expected)
    )
    assert actual == wanted, f"returned {actual}, not {wanted}"


def assert_inputs_stay(
    fn: Operation, inputs: Mapping[str, Any], differentiable: Sequence[str]
) -> None:
    """Run `fn` forward and backward: no element of its inputs may change."""
    tensors = {name: value for name, value in inputs.items() if torch.is_tensor(value)}
    before = {name: value.clone() for name, value in tensors.items()}
    run(fn, inputs, differentiable)
    for name, value in tensors.items():
        assert torch.equal(value, before[name]), f"{name} was changed in place"


def assert_repeatable(
    fn: Operation, inputs: Mapping[str, Any], differentiable: Sequence[str]
) -> None:
    """Run `fn` forward and backward twice: no bit may differ."""
    (outputs, gradients), (outputs_2, gradients_2) = (
        run(fn, inputs, differentiable) for _ in range(2)
    )
    for what in outputs:
        assert torch.equal(outputs[what], outputs_2[what]), f"the same call gave another {what}"
    for name in gradients:
        assert torch.equal(gradients[name], gradients_2[name]), (
            f"the same backward gave another gradient of {name}"
        )


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
