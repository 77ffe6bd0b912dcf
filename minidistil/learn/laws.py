"""What the checks of exercises are written with: laws, small random tensors, closeness in words.

An exercise of `tutorials/exercises/` is a module with

    HINTS   list of str, one more of them after each check that fails
    LAWS    list of `Law`; `check(answer, case)` gets the learner's module
    WRONG   {why: (text of the solution, what stands there instead)}: answers that must be refused

and `tutorials/solutions/` has a file of the same name, from which the learner's is made: see
`exercises.py`. `Law` is that of the conformance suite: it says what holds, and shows the smallest
case that fails.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from minidistil_kernels.testing.drawing import DEVICE
from minidistil_kernels.testing.report import Law

__all__ = ["DEVICE", "Law", "assert_close", "normal", "traffic", "without_autograd"]


def normal(seed: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers that depend on the seed and the shape only."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(dtype)


def assert_close(
    got: Any,
    want: Tensor,
    tolerance: float = 1e-5,
    explain: Callable[[tuple[int, ...]], str] | None = None,
) -> None:
    """Hold a result to a tensor: kind, shape, dtype, then each number.

    Args:
        got: The learner's.
        want: What is right.
        tolerance: Of |got - want|, relative to the larger of 1 and |want|.
        explain: Where the number that is wanted at a place comes from, in words.

    Raises:
        AssertionError: They differ; names the first place, and both numbers.
    """
    assert isinstance(got, Tensor), f"a tensor is wanted, not {got!r}, a {type(got).__name__}"
    assert got.shape == want.shape, f"the shape is {(*got.shape,)}, wanted is {(*want.shape,)}"
    assert got.dtype == want.dtype, f"the dtype is {got.dtype}, wanted is {want.dtype}"
    a, b = got.detach().double(), want.detach().double()
    far = (
        ~((a - b).abs() <= tolerance * b.abs().clamp(min=1)) & ~(a == b) & ~(a.isnan() & b.isnan())
    )
    if far.any():
        place = tuple(far.nonzero()[0].tolist())
        why = "" if explain is None else f"; {explain(place)}"
        raise AssertionError(
            f"at {place} of {(*got.shape,)} it is {float(a[place]):.6g}, wanted is "
            f"{float(b[place]):.6g} ({int(far.sum())} of {far.numel()} places differ){why}"
        )


@contextlib.contextmanager
def without_autograd() -> Iterator[None]:
    """Refuse calls of torch.autograd.grad and Tensor.backward: the gradient is the exercise.

    Raises:
        AssertionError: In the call that is refused.
    """

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("autograd is called: form the gradient by hand")

    with patch("torch.autograd.grad", refuse), patch("torch.Tensor.backward", refuse):
        yield


def traffic(fn: Callable[..., Any], *inputs: Any) -> tuple[int, int] | None:
    """Bytes that the kernels of a call read and write; None where they are compiled."""
    from minidistil_kernels import interpreter, lab

    if not interpreter.INTERPRETING:
        return None
    with lab.meter() as counts:
        fn(*inputs)
    return counts.total.bytes_loaded, counts.total.bytes_stored
