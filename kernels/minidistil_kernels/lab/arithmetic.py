"""What a kernel computes on floats, counted operation by operation.

The builder sees one call for a whole tile: the count is the size of its result. Sums and maxima it
does not see at all, because the interpreter hands them to NumPy.

Not here: when these wrappers are in place (`hooks.py`); what is counted as what (`meter.py`).
"""

from collections.abc import Callable
from typing import Any

from triton.runtime.interpreter import ScanOps

from minidistil_kernels.lab.events import RUNNING, Work

# The combine functions, by name, that the interpreter replaces with a NumPy function.
_IN_SCANS = ("_sum_combine", "_prod_combine")
_IN_REDUCTIONS = (
    *("_sum_combine", "_elementwise_max", "_elementwise_min"),
    *("_argmax_combine_tie_break_left", "_argmax_combine_tie_break_fast"),
    *("_argmin_combine_tie_break_left", "_argmin_combine_tie_break_fast"),
)


def _computed(work: Work, operations: int) -> None:
    for observer in RUNNING[-1].observers:
        observer.computed(RUNNING[-1], work, operations)


def _counted(work: Work, operations: int) -> Callable[..., Any]:
    """A wrapper that counts `operations` for every element of the result."""

    def counted(original: Callable[..., Any], *args: Any) -> Any:
        result = original(*args)
        _computed(work, operations * result.data.size)
        return result

    return counted


def _dot(original: Callable[..., Any], a: Any, b: Any, acc: Any, *rest: Any) -> Any:
    # A multiplication and an addition for each of the K terms of each element of the result.
    _computed("dot", 2 * acc.data.size * a.data.shape[-1])
    return original(a, b, acc, *rest)


def reduce(original: Callable[..., Any], reduction: Any, inputs: Any) -> Any:
    """tl.sum, tl.max, tl.cumsum, ...: NumPy does them in one call that the builder does not see.

    n elements need n - 1 operations. Other combine functions are run by the builder, and counted
    there.
    """
    results = original(reduction, inputs)
    in_numpy = _IN_SCANS if isinstance(reduction, ScanOps) else _IN_REDUCTIONS
    if reduction.combine_fn.__name__ in in_numpy and inputs[0].dtype.is_floating():
        shape = inputs[0].handle.data.shape
        along = inputs[0].handle.data.size if reduction.axis is None else shape[reduction.axis]
        _computed("arithmetic", inputs[0].handle.data.size // along * (along - 1))
    return results


_ARITHMETIC = {
    **dict.fromkeys(("fadd", "fsub", "fmul", "fdiv", "frem", "fneg"), 1),
    **dict.fromkeys(("precise_divf", "approx_divf"), 1),
    **dict.fromkeys(("minimumf", "maximumf", "minnumf", "maxnumf"), 1),
    **dict.fromkeys(("fma", "clampf"), 2),
}
_SPECIAL = ("exp", "exp2", "log", "log2", "sin", "cos", "erf", "sqrt", "precise_sqrt", "rsqrt")

WRAPPERS: dict[str, Callable[..., Any]] = {
    "create_dot": _dot,
    **{f"create_{name}": _counted("arithmetic", n) for name, n in _ARITHMETIC.items()},
    **{f"create_{name}": _counted("special", 1) for name in _SPECIAL},
}
