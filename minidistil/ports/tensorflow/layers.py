"""The layers of Keras as DistilBERT wants them: initialised, in the model's dtype, and exact.

PyTorch's `weight` has three names in Keras: `kernel` (in, out) of a linear layer, which is the
transpose of PyTorch's; `embeddings` (rows, D) of a table; `gamma` (D,) of a LayerNorm, whose `bias`
is `beta`.

Source: transformers' DistilBERT, for the initialisation.
"""

from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.embeddings import LAYER_NORM_EPS
from minidistil.ports.tensorflow.backend import Tensor, ops


def linear(config: DistilBertConfig, units: int, dtype: Any, name: str) -> keras.layers.Dense:
    """A linear layer, its kernel N(0, initializer_range), its bias 0."""
    # A new initializer each time: one that is used twice draws the same numbers twice.
    normal: Any = keras.initializers.RandomNormal(stddev=config.initializer_range)
    return keras.layers.Dense(units, kernel_initializer=normal, dtype=dtype, name=name)


def table(
    config: DistilBertConfig, rows: int, padding_id: int | None, dtype: Any, name: str
) -> keras.layers.Embedding:
    """An embedding (rows, D), N(0, initializer_range); the row of the padding token is 0."""
    normal: Any = keras.initializers.RandomNormal(stddev=config.initializer_range)

    def draw(shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        drawn = normal(shape, dtype)
        if padding_id is None:
            return drawn
        padding = ops.arange(rows)[:, None] == padding_id
        return ops.where(padding, ops.zeros_like(drawn), drawn)

    initial: Any = draw
    return keras.layers.Embedding(
        rows, config.dim, embeddings_initializer=initial, dtype=dtype, name=name
    )


def layer_norm(dtype: Any, name: str) -> keras.layers.LayerNormalization:
    """A LayerNorm over D, gamma 1 and beta 0; its statistics are in float32 or wider."""
    return keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPS, dtype=dtype, name=name)
