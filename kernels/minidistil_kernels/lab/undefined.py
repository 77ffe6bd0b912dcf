"""What a GPU leaves undefined, made visible: NaN where the interpreter is kind.

Two things that are luck on a GPU look right in the interpreter, run after run:

    tl.load(pointer, mask)   the lanes that are masked off hold 0, unless `other` says otherwise
    torch.empty(...)         often holds 0, as memory that was never used before does

A kernel that adds up such lanes, reads its output before it has written it, or leaves the end of it
unwritten, passes its tests. Within `undefined_as_nan()` all of these are NaN (in integers the
largest number, in booleans True), so that whatever uses them shows:

    with undefined_as_nan():
        y = softmax(x)  # NaN in y: some lane was used that should not have been

Not here: accesses beside a tensor, which raise (`memory.py`); registers and shared memory, which no
kernel sees uninitialised; lanes of `tl.load` that are not masked.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle


@contextmanager
def undefined_as_nan() -> Iterator[None]:
    """Fill masked lanes without `other`, and new `torch.empty` memory, with NaN in this block.

    Memory is filled by PyTorch's own switch, which belongs to deterministic algorithms: they are on
    in this block, and where an operation has none PyTorch warns. A compiled kernel gets filled
    memory, too; its masked lanes are the GPU's. Blocks nest.
    """
    load = InterpreterBuilder.create_masked_load
    algorithms = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # type checkers know nothing of its one attribute
    fill = memory.fill_uninitialized_memory
    # On the class, where the hooks of observers and the repair of bfloat16 look it up.
    InterpreterBuilder.create_masked_load = _filled(load)
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = True
    try:
        yield
    finally:
        InterpreterBuilder.create_masked_load = load
        torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
        memory.fill_uninitialized_memory = fill


def _filled(load: Callable[..., TensorHandle]) -> Callable[..., TensorHandle]:
    def filled(
        builder: Any, pointers: Any, mask: Any, other: Any, *rest: Any, **names: Any
    ) -> TensorHandle:
        loaded = load(builder, pointers, mask, other, *rest, **names)
        # Descriptors of Triton 3.7.1 pass a bare array, whose .data is a memoryview.
        active = np.asarray(mask.data, dtype=bool)
        if other is None and not active.all():
            loaded.data = np.where(active, loaded.data, _nonsense(loaded))
        return loaded

    return filled


def _nonsense(handle: TensorHandle) -> np.generic:
    """NaN in the dtype of a handle, or what comes closest."""
    kind, dtype = handle.data.dtype, handle.dtype.scalar
    if dtype == tl.bfloat16:  # kept as its bit pattern
        return kind.type(0x7FC0)
    if kind.kind == "f":
        return kind.type(np.nan)
    if kind.kind == "b":
        return kind.type(True)
    return kind.type(np.iinfo(kind).max)
