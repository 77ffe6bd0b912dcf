"""bfloat16 that computes right in Triton's interpreter.

NumPy has no bfloat16, so the interpreter keeps the 16 bits in a uint16 array, and then computes on
that array as if it held integers: 1.0 + 1.0 is 0x3f80 + 0x3f80 = 0x7f00, which is 1.7e38, and
`tl.dot` multiplies bit patterns. Casts from float32 drop the lower 16 bits, so that results drift
towards zero; a GPU rounds to the nearest, ties to even. None of it says a word.

    float32   s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm
    bfloat16  s eeeeeeee mmmmmmm                     the upper half: same range, 8 bits of precision

`repair_bf16()` computes in float32, which holds every bfloat16, and rounds each result once. For
+, -, * and / that equals rounding the exact result: 24 bits are enough for 2 * 8 + 2.

Source: `triton/runtime/interpreter.py`, read in Triton 3.7.1 and 3.9.0.
Not here: float8; and what is not repaired raises: atomic operations, `tl.dot_scaled`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl
from triton._C.libtriton import ir
from triton.runtime.interpreter import InterpreterBuilder, ReduceOps, ScanOps, TensorHandle

from minidistil_kernels import interpreter

Method = Callable[..., Any]


def repair_bf16() -> None:
    """Make bfloat16 correct in Triton's interpreter, for the rest of the process.

    Wrong before, right after, for Triton 3.7.1 and 3.9.0:
    - casts from float32 truncate: they round to nearest even, with infinities, NaN and subnormal
      numbers; casts from and to the other types go through float32, as PyTorch's do;
    - arithmetic, comparisons and fma work on bit patterns: they work on values, and each result is
      rounded to bfloat16 (fma after a float32 fma). Minimum, maximum and clamp of the language
      widen by themselves; exp, sqrt and their kind take no bfloat16 anywhere in Triton;
    - `tl.dot` multiplies bit patterns: it multiplies values, and accumulates in float32;
    - `tl.sum`, `tl.reduce` and `tl.associative_scan` with Triton's own sum, product, maximum and
      minimum work on bit patterns: they accumulate in float32 and round the result once. A GPU
      rounds every partial sum of a bfloat16 tensor: there, cast to float32 before summing;
    - a bfloat16 constant other than 0 fails in 3.7.1.

    Atomic operations and `tl.dot_scaled` on bfloat16 raise a ValueError.

    Without this repair the functions of this package refuse bfloat16, and so do `meter` and
    `memory_checks` for any kernel; a kernel of your own launched outside of them is Triton's
    business, and wrong. Calling it again does nothing.
    """
    if interpreter.bf16_repairs:
        return
    for owner, wrapper, names in (
        (InterpreterBuilder, _on_values, ("binary_op", "unary_op", "create_fma")),
        (InterpreterBuilder, _cast, ("cast_impl", "create_fp_to_fp")),
        (InterpreterBuilder, _dot, ("create_dot",)),
        (InterpreterBuilder, _refuse, ("create_atomic_rmw", "create_atomic_cas")),
        (InterpreterBuilder, _refuse, ("create_dot_scaled",)),
        (ReduceOps, _along, ("sum", "min_max")),
        (ScanOps, _along, ("cumsum", "cumprod")),
    ):
        # 3.7.1 has no create_dot_scaled.
        for name in vars(owner).keys() & names:
            setattr(owner, name, wrapper(vars(owner)[name]))
    InterpreterBuilder.get_bf16 = _constant
    interpreter.bf16_repairs.append("lab.repair_bf16")


def to_float32(bits: np.ndarray) -> np.ndarray:
    """The values of bfloat16 bit patterns (uint16): the missing lower half is zeros."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def from_float32(values: np.ndarray, *, truncate: bool = False) -> np.ndarray:
    """The bit patterns (uint16) of the nearest bfloat16, ties to even; or of the next towards 0."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    # Adding just under half of the last kept place carries where the dropped part is above half;
    # one more where the kept part is odd sends ties to even. A carry out of the mantissa raises the
    # exponent, up to infinity: the right result.
    odd = (bits >> 16) & 1
    rounded = bits if truncate else bits + 0x7FFF + odd
    # A NaN whose payload is all in the lower half would become an infinity: set the quiet bit.
    nan = (bits >> 16) | 0x0040
    return np.where(np.isnan(values), nan, rounded >> 16).astype(np.uint16).reshape(values.shape)


def _is_bf16(handle: Any) -> bool:
    return isinstance(handle, TensorHandle) and handle.dtype.scalar == tl.bfloat16


def _widen(handle: Any) -> Any:
    """A bfloat16 handle as a float32 one, anything else as it is."""
    return TensorHandle(to_float32(handle.data), tl.float32) if _is_bf16(handle) else handle


def _narrow(handle: TensorHandle) -> TensorHandle:
    if handle.data.dtype == np.bool_:  # the result of a comparison
        return TensorHandle(handle.data, tl.int1)
    return TensorHandle(from_float32(handle.data), tl.bfloat16)


def _on_values(original: Method) -> Method:
    def repaired(builder: Any, *args: Any) -> Any:
        if not any(map(_is_bf16, args)):
            return original(builder, *args)
        return _narrow(original(builder, *map(_widen, args)))

    return repaired


def _cast(original: Method) -> Method:
    def repaired(builder: Any, source: Any, target: Any, *rounding: Any) -> Any:
        if target.scalar == tl.bfloat16 and source.dtype.scalar.primitive_bitwidth != 8:
            if _is_bf16(source):
                return source
            with np.errstate(over="ignore"):  # a float64 that is infinite as a float32
                wide = source.data.astype(np.float32)
            return TensorHandle(
                from_float32(wide, truncate=ir.ROUNDING_MODE.RTZ in rounding), tl.bfloat16
            )
        if _is_bf16(source) and target.scalar.primitive_bitwidth != 8:
            return builder.cast_impl(_widen(source), target)
        return original(builder, source, target, *rounding)

    return repaired


def _dot(original: Method) -> Method:
    def repaired(builder: Any, a: Any, b: Any, acc: Any, *rest: Any) -> Any:
        return original(builder, _widen(a), _widen(b), acc, *rest)

    return repaired


def _along(original: Method) -> Method:
    """A reduction or scan: its input is a tensor of the language, not a handle."""

    def repaired(reduction: Any, values: Any, **operations: Any) -> Any:
        # The maximum with its index comes as a pair, and only the first counts.
        first = values[0] if isinstance(values, tuple) else values
        if not _is_bf16(first.handle):
            return original(reduction, values, **operations)
        wide = reduction.to_tensor(to_float32(first.handle.data), tl.float32)
        results = original(reduction, wide, **operations)
        if not isinstance(results, list | tuple):
            return _round(results)
        return type(results)(_round(result) for result in results)

    return repaired


def _round(tensor: tl.tensor) -> tl.tensor:
    """A float32 result as bfloat16; an index as it is."""
    if tensor.dtype != tl.float32:
        return tensor
    shape = [int(n) for n in tensor.shape]
    kind = tl.block_type(tl.bfloat16, shape) if shape else tl.bfloat16
    return tl.tensor(_narrow(tensor.handle), kind)


def _refuse(original: Method) -> Method:
    def repaired(builder: Any, *args: Any) -> Any:
        if any(map(_is_bf16, args)):
            raise ValueError(
                f"{original.__name__} on bfloat16 is not repaired in Triton's interpreter; use "
                "float32"
            )
        return original(builder, *args)

    return repaired


def _constant(self: InterpreterBuilder, value: float) -> TensorHandle:
    return TensorHandle(from_float32(np.array([value], dtype=np.float32)), tl.bfloat16)
