"""The layers of flax.nnx as DistilBERT wants them: initialised, in the config's dtype, and exact.

PyTorch's `weight` has three names in flax: `kernel` (in, out) of a linear layer, which is the
transpose of PyTorch's; `embedding` (rows, D) of a table; `scale` (D,) of a LayerNorm.

Source: transformers' DistilBERT, for the initialisation.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from minidistil.config import DistilBertConfig
from minidistil.embeddings import LAYER_NORM_EPS


def weight_dtype(config: DistilBertConfig) -> jnp.dtype:
    """The dtype of new weights: the config's, float32 where it has none.

    Raises:
        ValueError: float64, while JAX makes float32 of it.
    """
    dtype = jnp.dtype(config.dtype or "float32")
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise ValueError(
            f'the weights are {dtype}, which JAX has switched off: pass dtype="float32" or call '
            'jax.config.update("jax_enable_x64", True) first'
        )
    return dtype


def linear(config: DistilBertConfig, inner: int, outer: int, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer, its kernel N(0, initializer_range), its bias 0."""
    dtype = weight_dtype(config)
    return nnx.Linear(inner, outer, kernel_init=_init(config), param_dtype=dtype, rngs=rngs)


def table(config: DistilBertConfig, rows: int, rngs: nnx.Rngs) -> nnx.Embed:
    """An embedding (rows, D), N(0, initializer_range)."""
    dtype = weight_dtype(config)
    return nnx.Embed(rows, config.dim, embedding_init=_init(config), param_dtype=dtype, rngs=rngs)


def look_up(rows: nnx.Embed, ids: jax.Array) -> jax.Array:
    """Rows of a table; NaN for an id that it does not have, be it negative or past the end.

    `rows(ids)` of flax would count a negative one from the end.
    """
    return rows.embedding[...].at[ids].get(mode="fill", wrap_negative_indices=False)


def layer_norm(config: DistilBertConfig, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """A LayerNorm over D, scale 1 and bias 0; its statistics are in float32 or wider."""
    return nnx.LayerNorm(
        config.dim,
        epsilon=LAYER_NORM_EPS,
        param_dtype=weight_dtype(config),
        use_fast_variance=False,  # E[x^2] - E[x]^2 is a difference of large numbers
        rngs=rngs,
    )


def _init(config: DistilBertConfig) -> nnx.Initializer:
    std = config.initializer_range
    return nnx.initializers.normal(std) if std else nnx.initializers.zeros  # 0: nothing to draw
