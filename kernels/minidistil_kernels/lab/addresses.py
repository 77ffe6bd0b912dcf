"""Memory as a kernel sees it: whose element is at an address?

A kernel gets bare numbers, and a pointer that ran off the end of one tensor looks like a good
pointer into the next. So while somebody observes, each tensor argument gets an address space of its
own: argument i is handed over at about i * 2^48, far from every other one, and the real address is
put back when the kernel touches memory. Whatever arithmetic the kernel does, the upper bits still
say which argument the pointer began as, and nothing is copied.

Not here: when these wrappers are in place (`hooks.py`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import triton.language as tl
from torch import Tensor
from triton.runtime.interpreter import TensorHandle
from triton.runtime.jit import TensorWrapper
from triton.tools.tensor_descriptor import TensorDescriptor

from minidistil_kernels import interpreter
from minidistil_kernels.lab.events import RUNNING, Access, Argument, Kind, Launch

SPACE_BITS = 48  # real addresses of a process have fewer: space 0 is the memory of nobody
_MIDDLE = 1 << (SPACE_BITS - 1)  # a space starts in its middle: offsets may be negative
_LOW_BITS = 0xFFF  # kept as they are, for kernels that ask whether a pointer is aligned


def own(launch: Launch, name: str, value: Any) -> None:
    """Give an address space to each tensor in a parameter.

    Raises:
        ValueError: A tensor in bfloat16, while the interpreter is not repaired.
    """
    if isinstance(value, tuple):
        for i, part in enumerate(value):
            own(launch, f"{name}[{i}]", part)
    elif isinstance(value, TensorDescriptor):
        own(launch, name, value.base)
    elif isinstance(value, Tensor | TensorWrapper):
        tensor = value if isinstance(value, Tensor) else value.base  # triton.reinterpret wraps
        if tensor.dtype == torch.bfloat16 and not interpreter.bf16_repairs:
            raise ValueError(
                f"{launch.kernel}: {name} is bfloat16, which Triton's interpreter computes wrongly "
                "and silently; call minidistil_kernels.lab.repair_bf16() first"
            )
        space = len(launch.by_tensor) + 1
        base = (space << SPACE_BITS) + _MIDDLE + (tensor.data_ptr() & _LOW_BITS)
        launch.by_tensor[id(value)] = Argument(name, tensor, base)


def _touch(kind: Kind, pointer: TensorHandle, mask: Any, values: Any = None) -> TensorHandle:
    """Report an access; returns the real addresses."""
    launch = RUNNING[-1]
    addresses = pointer.data
    # Descriptors of Triton 3.7.1 pass a bare array, whose .data is a memoryview.
    active = np.broadcast_to(np.asarray(mask.data, dtype=bool), addresses.shape)
    touched = addresses.reshape(-1) if active.all() else addresses[active]
    size = max(1, pointer.get_element_ty().primitive_bitwidth // 8)  # a bool is a byte in memory
    masked = addresses.size - touched.size
    if launch.in_atomic:
        kind = "atomic"

    def report(
        argument: Argument | None, lanes: np.ndarray, active: np.ndarray, *span: int
    ) -> None:
        base = argument.base if argument else 0
        offsets = (lanes - np.uint64(base)).view(np.int64)
        lowest, highest = span[0] - base, span[1] - base
        access = Access(kind, argument, offsets, lowest, highest, size, masked, active, values)
        for observer in launch.observers:
            observer.accessed(launch, access)

    if not touched.size:
        report(None, touched, active, 0, 0)
        return pointer
    lowest, highest = int(touched.min()), int(touched.max())
    if lowest >> SPACE_BITS == highest >> SPACE_BITS:
        argument = _owner(launch, lowest >> SPACE_BITS)
        report(argument, touched, active, lowest, highest)
        return TensorHandle(np.asarray(addresses - _shift(argument)), pointer.dtype)
    # A tile of pointers into several arguments, as tl.where makes one.
    real, spaces = addresses.copy(), addresses >> np.uint64(SPACE_BITS)
    for space in np.unique(touched >> np.uint64(SPACE_BITS)).tolist():
        argument, chosen = _owner(launch, space), active & (spaces == space)
        lanes = addresses[chosen]
        report(argument, lanes, chosen, int(lanes.min()), int(lanes.max()))
        real[chosen] -= _shift(argument)
        masked = 0  # counted once
    return TensorHandle(real, pointer.dtype)


def _owner(launch: Launch, space: int) -> Argument | None:
    return launch.arguments[space - 1] if 1 <= space <= len(launch.arguments) else None


def _shift(argument: Argument | None) -> np.uint64:
    return np.uint64(argument.base - argument.tensor.data_ptr() if argument else 0)


def _load(original: Callable[..., Any], pointer: Any, mask: Any, *rest: Any, **names: Any) -> Any:
    return original(_touch("load", pointer, mask), mask, *rest, **names)


def _store(
    original: Callable[..., Any], pointer: Any, value: Any, mask: Any, *rest: Any, **names: Any
) -> Any:
    return original(_touch("store", pointer, mask, value.data), value, mask, *rest, **names)


def _read_modify_write(
    original: Callable[..., Any], operation: Any, pointer: Any, value: Any, mask: Any, *rest: Any
) -> Any:
    return original(operation, _touch("atomic", pointer, mask), value, mask, *rest)


def _compare_and_swap(original: Callable[..., Any], pointer: Any, *rest: Any) -> Any:
    everywhere = TensorHandle(np.ones(pointer.data.shape, dtype=bool), tl.int1)
    return original(_touch("atomic", pointer, everywhere), *rest)


def _atomically(original: Callable[..., Any], *args: Any) -> Any:
    """An atomic load or store: the interpreter builds it of plain ones."""
    RUNNING[-1].in_atomic = True
    try:
        return original(*args)
    finally:
        RUNNING[-1].in_atomic = False


WRAPPERS: dict[str, Callable[..., Any]] = {
    "create_masked_load": _load,
    "create_masked_store": _store,
    "create_atomic_rmw": _read_modify_write,
    "create_atomic_cas": _compare_and_swap,
    **dict.fromkeys(
        ("create_atomic_load", "create_atomic_store", "create_atomic_poll"), _atomically
    ),
}
