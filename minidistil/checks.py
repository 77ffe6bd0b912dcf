"""Checks of ids, labels and positions: wrong ones are named before they do harm.

Shapes and dtypes are known everywhere and always checked. Values are looked at only where that is
free: on the CPU, in eager mode. On a GPU every look would wait for all the work in flight; under
`torch.compile`, `torch.export`, tracing and `torch.func` there is no one value to look at.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode


def values_are_visible(tensor: Tensor) -> bool:
    """Whether Python may branch on this tensor's values without a wait or a graph break."""
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage] (documented)
        and tensor.device.type == "cpu"
        # A subclass such as FakeTensor need not have values; a mode such as make_fx hides them.
        and type(tensor) in (Tensor, nn.Parameter)
        and _get_current_dispatch_mode() is None
        and not is_functorch_wrapped_tensor(tensor)
    )


def check_tensors(**given: Tensor | None) -> None:
    """Check that what was given is tensors, and no lists or arrays.

    Raises:
        TypeError: Names the argument and its type.
    """
    for name, value in given.items():
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"{name} is a {type(value).__name__}, not a tensor: tokenizer(..., "
                'return_tensors="pt") or torch.tensor(...) makes one'
            )


def check_ids(name: str, ids: Tensor) -> None:
    """Check that a tensor has one of the two dtypes with which PyTorch looks rows up.

    Raises:
        TypeError: It is no tensor.
        ValueError: Names the dtype, if it is neither int32 nor int64.
    """
    check_tensors(**{name: ids})
    if ids.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"{name} must be int32 or int64, not {ids.dtype}: convert it by .long()")


def check_range(
    name: str, values: Tensor, stop: int | None, advice: str, ignored: int | None = None
) -> None:
    """Check that numbers lie in [0, stop - 1], or are not negative, or equal `ignored`.

    Raises:
        ValueError: Names the first value that does not; `advice` says what to do.
    """
    if values_are_visible(values):
        check_numbers(name, values, stop, advice, ignored)


def check_numbers(
    name: str,
    values: Any,
    stop: int | None,
    advice: str,
    ignored: int | None = None,
) -> None:
    """As `check_range`, of numbers that can be looked at, in a tensor or an array of NumPy's.

    Raises:
        ValueError: As there.
    """
    # The negation of what is right, so that NaN is wrong.
    wrong = ~(values >= 0) if stop is None else ~((values >= 0) & (values <= stop - 1))
    if ignored is not None:
        wrong &= values != ignored
    if wrong.any():
        worst = values[wrong][0].item()
        range_ = "0 or more" if stop is None else f"0 to {stop - 1}"
        raise ValueError(f"{name} holds {worst}, expected {range_}: {advice}")
