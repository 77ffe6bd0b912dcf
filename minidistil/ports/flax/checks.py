"""Checks of ids, labels and positions; the twin of `minidistil/checks.py`.

JAX looks up whatever it is told to: indexing past the end of an array returns its last row, and
`jnp.take`, inside `nnx.Embed`, returns NaN. So a wrong id is named here, where it can be seen.
Shapes and dtypes are always known. Values are looked at unless they are tracers, which stand for
values under `jax.jit`, `jax.vmap` and `jax.eval_shape`, or have a part in another process.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from minidistil.checks import check_numbers


def as_array(value: Any) -> Array | None:
    """Whatever `jnp.asarray` takes, as an array; None as None.

    That is arrays of JAX and NumPy, nested lists, and PyTorch tensors on the CPU. int64 becomes
    int32, and float64 float32, unless jax_enable_x64 is on.
    """
    return None if value is None else jnp.asarray(value)


def check_ids(name: str, ids: Array) -> None:
    """Check that an array has a dtype with which the PyTorch class looks rows up, too.

    Raises:
        ValueError: Names the dtype, if it is neither int32 nor int64.
    """
    if ids.dtype not in (jnp.int32, jnp.int64):
        raise ValueError(f"{name} must be int32 or int64, not {ids.dtype}: .astype(int) converts")


def check_range(
    name: str, values: Array, stop: int | None, advice: str, ignored: int | None = None
) -> None:
    """Check that numbers lie in [0, stop - 1], or are not negative, or equal `ignored`.

    Raises:
        ValueError: Names the first value that does not; `advice` says what to do.
    """
    if not isinstance(values, Tracer) and values.is_fully_addressable:
        check_numbers(name, np.asarray(values), stop, advice, ignored)
