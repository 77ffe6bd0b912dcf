"""Cases read off real launches: what would be launched is written down, and nothing runs.

    with record_launches() as cases:
        my_function(torch.zeros(4, 768, dtype=torch.float16))
    print(table(report(cases, ["sm_80"])))

So a case cannot differ from the launch it stands for: the types, the constants, the warps and which
arguments are multiples of 16 are all the launch's own. The function's results are whatever its
output tensors held before.

Not here: autotuned kernels, which measure before they launch.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from triton.backends.compiler import BaseBackend
from triton.runtime.jit import JITFunction, native_specialize_impl

from minidistil_kernels import interpreter
from minidistil_kernels.lab.ahead_of_time.compilation import Case


@contextmanager
def record_launches() -> Iterator[list[Case]]:
    """Inside, every launch of a `@triton.jit` kernel adds a case to the list, and does not happen.

    Raises:
        TypeError: The process interprets its kernels: those have no launch to be recorded.
    """
    if interpreter.INTERPRETING:
        raise TypeError("launches are recorded in a process started without TRITON_INTERPRET")
    cases: list[Case] = []

    def record(self: JITFunction[Any], *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        cases.append(launch_case(self, args, options))

    run = JITFunction.run
    JITFunction.run = record
    try:
        yield cases
    finally:
        JITFunction.run = run


def launch_case(kernel: JITFunction[Any], args: tuple[Any, ...], options: dict[str, Any]) -> Case:
    """The case of the launch `kernel[grid](*args, **options)`."""
    keywords = {name: value for name, value in options.items() if name in kernel.arg_names}
    bound = inspect.signature(kernel.fn).bind(*args, **keywords)
    bound.apply_defaults()
    signature, constants, divisible = {}, {}, []
    for parameter in kernel.params:
        value = bound.arguments[parameter.name]
        if parameter.is_constexpr:
            constants[parameter.name] = value
            continue
        # Triton's own rule: the type, and "D" for a multiple of 16; None and 1 become constants.
        type_, key = native_specialize_impl(
            BaseBackend,
            value,
            parameter.is_const,
            not parameter.do_not_specialize,
            not parameter.do_not_specialize_on_alignment,
        )
        if type_ == "constexpr":
            constants[parameter.name] = value
            continue
        signature[parameter.name] = type_
        if key == "D":
            divisible.append(parameter.name)
    tuning = {name: options[name] for name in ("num_warps", "num_stages") if name in options}
    return Case(
        kernel.__name__, kernel, signature, constants, divisible_by_16=tuple(divisible), **tuning
    )
