"""Laws that every operation with a twin in `reference.py` obeys, and the check that tries them.

Not here: what is particular to one operation (its own file) and attention, which the model calls
in a form of its own (`attention.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from hypothesis.strategies import SearchStrategy

from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import Errors, assert_accurate, measure
from minidistil_kernels.testing.report import Law, Report, try_laws

Operation = Callable[..., Any]


def common_laws(
    twin: Operation, differentiable: Sequence[str], rows: Sequence[str], cases: SearchStrategy[Any]
) -> list[Law]:
    """The common laws of one operation.

    Args:
        twin: Its specification in `reference.py`.
        differentiable: The inputs that get a gradient.
        rows: The inputs whose rows may lie anywhere in memory.
        cases: Where cases come from; `case.inputs()` are the arguments.
    """

    def accurate(fn: Operation, case: Any) -> None:
        """Equals the reference, forward and backward."""
        assert_accurate(measure(fn, twin, twin, case.inputs(), differentiable))

    def any_stride(fn: Operation, case: Any) -> None:
        """Rows may lie anywhere in memory."""
        inputs = case.inputs()
        expected = first(fn(**inputs))
        apart = {name: drawing.strided(inputs[name]) for name in rows}
        assert torch.equal(first(fn(**inputs | apart)), expected), "rows apart change the result"

    def repeatable(fn: Operation, case: Any) -> None:
        """The same call gives the same bits, forward and backward."""
        inputs = case.inputs()
        leaves = [inputs[name].requires_grad_() for name in differentiable]
        results = [first(fn(**inputs)) for _ in range(2)]
        assert torch.equal(*results), "the same call gave another result"
        upstream = drawing.normal(case.seed + 99, results[0].shape).to(results[0])
        gradients = [torch.autograd.grad(result, leaves, upstream) for result in results]
        for name, a, b in zip(differentiable, *gradients, strict=True):
            assert torch.equal(a, b), f"the same backward gave another gradient of {name}"

    return [Law(check, cases) for check in (accurate, any_stride, repeatable)]


def first(result: Any) -> torch.Tensor:
    """The output that is differentiated: the only one, or the first of several."""
    return result[0] if isinstance(result, tuple) else result


def check(
    twin: Operation,
    differentiable: Sequence[str],
    laws: Sequence[Law],
    case: Any,
    fn: Operation,
    examples: int,
) -> Report:
    """Try the laws of `twin` on `fn`, and measure its errors on one typical case in each dtype."""

    def errors(fn: Operation) -> list[Errors]:
        return [
            error
            for dtype in (torch.float32, torch.float16, torch.bfloat16)
            for error in measure(
                fn, twin, twin, replace(case, dtype=dtype).inputs(), differentiable
            )
        ]

    drawing.prepare()
    return try_laws(twin.__name__, fn, laws, errors, examples)
