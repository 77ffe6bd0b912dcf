"""Checks of ids, labels and positions; the twin of `minidistil/checks.py`.

Dtypes are always known, and shapes but for what a `tf.function` or a `keras.Input` leaves open.
Values are looked at in eager mode, where they can be. In a graph, as in `fit`, nobody looks at
them: what comes of wrong ones is NaN there, and never learned from in silence, or an error of
TensorFlow's own, which it has on a CPU for numbers past the end and labels that are integers.
"""

from typing import Any

import keras
import tensorflow as tf

from minidistil.checks import check_numbers
from minidistil.ports.tensorflow.backend import Tensor, ops


def check_tensors(**given: Tensor | None) -> None:
    """Check that what was given is tensors, and no lists.

    Raises:
        TypeError: Names the argument and its type.
    """
    for name, value in given.items():
        if value is not None and not tf.is_tensor(value):
            raise TypeError(
                f"{name} is a {type(value).__name__}, not a tensor: tokenizer(..., "
                'return_tensors="np") or keras.ops.convert_to_tensor(...) makes one'
            )


def check_ids(name: str, ids: Tensor) -> None:
    """Check that a tensor has a dtype with which the PyTorch class looks rows up, too.

    Raises:
        TypeError: It is no tensor.
        ValueError: Names the dtype, if it is neither int32 nor int64.
    """
    check_tensors(**{name: ids})
    dtype = keras.backend.standardize_dtype(ids.dtype)
    if dtype not in ("int32", "int64"):
        raise ValueError(
            f'{name} must be int32 or int64, not {dtype}: keras.ops.cast(..., "int32") converts'
        )


def fits(shape: tuple[int | None, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether two shapes can be the same, as far as they are known."""
    return len(shape) == len(expected) and all(
        None in pair or pair[0] == pair[1] for pair in zip(shape, expected, strict=True)
    )


def check_range(
    name: str, values: Tensor, stop: int | None, advice: str, ignored: int | None = None
) -> None:
    """Check that numbers lie in [0, stop - 1], or are not negative, or equal `ignored`.

    Raises:
        ValueError: Names the first value that does not; `advice` says what to do.
    """
    if not tf.is_symbolic_tensor(values):
        check_numbers(name, ops.convert_to_numpy(values), stop, advice, ignored)


def nan_outside(numbers: Tensor, stop: int, dtype: Any) -> Tensor:
    """0 for each number in [0, stop - 1], NaN for others: to be added to what comes of them."""
    known = ops.logical_and(numbers >= 0, numbers <= stop - 1)
    # The root of 0 or of -1: `tf.debugging.enable_check_numerics` stops at a constant that is NaN.
    return ops.sqrt(ops.cast(known, dtype) - 1)
