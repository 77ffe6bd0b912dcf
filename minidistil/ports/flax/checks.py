"""Checks of ids, labels, positions and `rngs`; the twin of `minidistil/checks.py`.

Shapes and dtypes are always known. Values are looked at unless they are tracers, which stand for
values under `jax.jit`, `jax.vmap` and `jax.eval_shape`, or have a part in another process. There
JAX looks up whatever it is told to: negative numbers count from the end. So that nothing wrong is
taken for right, an id, a position or a label out of range makes NaN of the result, on either side
of the range (`layers.look_up`, `heads.base.mean_loss`).

Not here: a NumPy int64 handed to a compiled function. JAX itself makes int32 of it, and only what
comes of that is seen: of 2**32 + 3 it is 3.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.core import Tracer

from minidistil.checks import check_numbers


def as_array(name: str, value: Any) -> Array | None:
    """Whatever `jnp.asarray` takes, as an array; None as None.

    That is arrays of JAX and NumPy, nested lists, and PyTorch tensors on the CPU. Unless
    jax_enable_x64 is on, int64 becomes int32, and float64 float32.

    Raises:
        TypeError: No array but a text, or all inputs at once.
        ValueError: An integer that JAX's dtype cannot hold; JAX would take it modulo 2**32.
    """
    if isinstance(value, Mapping | str):
        raise TypeError(
            f"{name} is a {type(value).__name__}, not an array: tokenizer(..., "
            'return_tensors="np") makes arrays, and model(**inputs) takes them'
        )
    if value is None:
        return None
    if not any(isinstance(leaf, Array) for leaf in jax.tree.leaves(value)):
        host = np.asarray(value)
        if host.dtype.kind in "iu":
            kept = host.astype(jax.dtypes.canonicalize_dtype(host.dtype))
            lost = host[kept != host]
            if lost.size:
                raise ValueError(f"{name} holds {lost[0]}, which does not fit in {kept.dtype}")
    return jnp.asarray(value)


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


def check_rngs(rngs: nnx.Rngs) -> None:
    """Check that weights and dropout can be drawn.

    Raises:
        TypeError: It is a number or a key.
        ValueError: Streams with names, but not the two that are needed.
    """
    if not isinstance(rngs, nnx.Rngs):
        raise TypeError(f"rngs is a {type(rngs).__name__}, not nnx.Rngs: nnx.Rngs(0) makes one")
    if "default" not in rngs and not {"params", "dropout"} <= {*rngs}:
        raise ValueError(
            f"rngs has the streams {[*rngs]}, but params (weights) and dropout are needed: "
            "nnx.Rngs(0) has every stream, nnx.Rngs(params=0, dropout=1) these two"
        )
