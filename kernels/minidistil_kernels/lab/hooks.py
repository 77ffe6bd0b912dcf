"""The one place where the lab listens to Triton's interpreter.

The interpreter turns every operation of a kernel into a method call on one object, its builder:
`tl.load` becomes `create_masked_load`, `a + b` on floats `create_fadd`. While somebody observes,
those methods report what they are asked to do; afterwards they are the interpreter's own again.

Source: `triton/runtime/interpreter.py`, read in Triton 3.7.1 and 3.9.0.
Not here: what is reported of memory (`addresses.py`) and of arithmetic (`arithmetic.py`), what to
make of it (`meter.py`, `memory.py`), and kernels that were compiled.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import triton
from triton.runtime import interpreter as triton_interpreter
from triton.runtime.errors import InterpreterError
from triton.runtime.interpreter import (
    GridExecutor,
    InterpreterBuilder,
    ReduceOps,
    ScanOps,
    interpreter_builder,
)

from minidistil_kernels import interpreter
from minidistil_kernels.lab import addresses, arithmetic
from minidistil_kernels.lab.events import RUNNING, KernelError, Launch, Observer

T = TypeVar("T", bound=Observer)

_NO_KERNELS = tuple(f"{Path(file).parent}{os.sep}" for file in (triton.__file__, __file__))
_observers: list[Observer] = []
_undo: list[Callable[[], None]] = []


@contextmanager
def observe(observer: T) -> Iterator[T]:
    """Tell `observer` of every launch in this block. Blocks nest, and may overlap.

    Raises:
        RuntimeError: The interpreter is off: there would be nothing to hear.
    """
    if not interpreter.INTERPRETING:
        raise RuntimeError(
            "the lab listens to Triton's interpreter, which is off: set TRITON_INTERPRET=1 in the "
            "environment before Python starts"
        )
    _observers.append(observer)
    try:
        if not _undo:
            _install()
        yield observer
    finally:
        _observers[:] = [other for other in _observers if other is not observer]
        if not _observers:
            while _undo:
                _undo.pop()()


def kernel_frames() -> Iterator[FrameType]:
    """The stack without Triton's frames and the lab's, innermost first.

    Called while an observer is told of something, the first is the line of the kernel, or of a
    device function it called, that does it.
    """
    frame: FrameType | None = sys._getframe()
    while frame:
        if not frame.f_code.co_filename.startswith(_NO_KERNELS):
            yield frame
        frame = frame.f_back


def _launch(original: Callable[..., None], executor: Any, *args: Any, **kwargs: Any) -> None:
    RUNNING.append(Launch(executor.fn.__name__, tuple(_observers)))
    try:
        original(executor, *args, **kwargs)
        for observer in RUNNING[-1].observers:
            observer.launch_ended(RUNNING[-1])
    except InterpreterError as error:
        # The interpreter wraps whatever a kernel raises, once per call of a device function.
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, KernelError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None
    finally:
        RUNNING.pop()


def _arguments_on_host(
    original: Callable[..., Any], executor: Any, args: Any, kwargs: Any
) -> tuple[Any, Any]:
    launch = RUNNING[-1]
    args, kwargs = original(executor, args, kwargs)
    for name, value in inspect.getcallargs(executor.fn, *args, **kwargs).items():
        addresses.own(launch, name, value)
    launch.arguments = tuple(launch.by_tensor.values())
    for observer in launch.observers:
        observer.launch_started(launch)
    return args, kwargs


def _to_triton(original: Callable[[Any], Any], value: Any) -> Any:
    converted = original(value)
    if RUNNING and (argument := RUNNING[-1].by_tensor.get(id(value))):
        converted.handle.data = np.array([argument.base], dtype=np.uint64)
    return converted


def _set_grid(original: Callable[..., Any], *grid: int) -> None:
    RUNNING[-1].grid = (grid[0], grid[1], grid[2])
    original(*grid)


def _set_program(original: Callable[..., Any], *program: int) -> None:
    RUNNING[-1].program = (program[0], program[1], program[2])
    RUNNING[-1].number += 1
    original(*program)


_WRAPPERS: dict[str, Callable[..., Any]] = {
    "set_grid_dim": _set_grid,
    "set_grid_idx": _set_program,
    **addresses.WRAPPERS,
    **arithmetic.WRAPPERS,
}


def _install() -> None:
    for name, wrapper in _WRAPPERS.items():
        # 3.7.1 has fewer methods: no fneg, no approximate division, no atomic load.
        if name in vars(InterpreterBuilder):
            # Looked up when called, so that repair_bf16 may come later.
            vars(interpreter_builder)[name] = _bind(
                wrapper, lambda *a, name=name, **k: _builder(name)(*a, **k)
            )
            _undo.append(lambda name=name: vars(interpreter_builder).pop(name))
    for owner, name, wrapper in (
        (GridExecutor, "__call__", _launch),
        (GridExecutor, "_init_args_hst", _arguments_on_host),
        (triton_interpreter, "_implicit_cvt", _to_triton),
        (ReduceOps, "apply_impl", arithmetic.reduce),
        (ScanOps, "apply_impl", arithmetic.reduce),
    ):
        original = vars(owner)[name]
        setattr(owner, name, _bind(wrapper, original))
        _undo.append(
            lambda owner=owner, name=name, original=original: setattr(owner, name, original)
        )


def _builder(name: str) -> Callable[..., Any]:
    return vars(InterpreterBuilder)[name].__get__(interpreter_builder)


def _bind(wrapper: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    # Not functools.partial: as a class attribute that would not receive the instance.
    return lambda *args, **kwargs: wrapper(original, *args, **kwargs)
