"""Embeddings: token ids -> vectors. Word + position -> LayerNorm -> dropout.

The twin of `minidistil/embeddings.py`.

Source: Sanh et al. 2019, section 3; the fixed positions are Vaswani et al. 2017, section 3.5.
"""

from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.embeddings import sinusoidal_table
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.checks import check_range, nan_outside
from minidistil.ports.tensorflow.layers import layer_norm, table


class FixedPositions(keras.layers.Layer):
    """A position table that is a constant of the model: setting `trainable` does not train it."""

    def __init__(self, rows: int, dim: int, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(dtype=dtype, name=name)
        self.shape = (rows, dim)

    def build(self, input_shape: Any = None) -> None:
        """Make the table."""

        def fixed(shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
            return ops.cast(sinusoidal_table(*shape).numpy(), dtype)

        self.embeddings = self.add_weight(
            shape=self.shape, initializer=fixed, trainable=False, name="embeddings"
        )

    def call(self, position_ids: Tensor) -> Tensor:
        """Look positions up."""
        return ops.take(self.embeddings, position_ids, axis=0)


class Embeddings(keras.layers.Layer):
    """Word and position embeddings, added, normalised and thinned out by dropout."""

    def __init__(
        self, config: DistilBertConfig, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        dtype, places = self.dtype_policy, config.max_position_embeddings
        self.vocab_size, self.max_positions = config.vocab_size, places
        self.padding_id = config.pad_token_id
        self.word_embeddings = table(
            config, config.vocab_size, self.padding_id, dtype, "word_embeddings"
        )
        self.position_embeddings = (
            FixedPositions(places, config.dim, dtype, "position_embeddings")
            if config.sinusoidal_pos_embds
            else table(config, places, None, dtype, "position_embeddings")
        )
        self.LayerNorm = layer_norm(dtype, "LayerNorm")
        self.dropout = keras.layers.Dropout(config.dropout, dtype=dtype)

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.word_embeddings.build()
        self.position_embeddings.build()
        self.LayerNorm.build(input_shape)

    def call(
        self, input_ids: Tensor | None, inputs_embeds: Tensor | None, position_ids: Tensor
    ) -> Tensor:
        """Embed a batch.

        Args:
            input_ids: Token ids (B, S); looked up unless `inputs_embeds` is given.
            inputs_embeds: Word embeddings (B, S, D), already looked up.
            position_ids: The place of each token, from 0, (B, S) or (1, S).

        Raises:
            ValueError: A token id or position that the tables do not have.
        """
        check_range(
            "position_ids",
            position_ids,
            self.max_positions,
            "truncate the input or load a checkpoint with more positions",
        )
        words = self._look_up(input_ids) if inputs_embeds is None else inputs_embeds
        places = self.position_embeddings(position_ids)
        places += nan_outside(position_ids, self.max_positions, places.dtype)[..., None]
        return self.dropout(self.LayerNorm(words + places))

    def _look_up(self, input_ids: Tensor) -> Tensor:
        check_range(
            "input_ids",
            input_ids,
            self.vocab_size,
            "the tokenizer does not belong to this model, or the model needs more tokens",
        )
        words = self.word_embeddings(input_ids)
        words += nan_outside(input_ids, self.vocab_size, words.dtype)[..., None]
        if self.padding_id is None:
            return words
        # PyTorch's padding_idx: looking up the padding token teaches it nothing.
        padding = ops.equal(input_ids, self.padding_id)[..., None]
        return ops.where(padding, ops.stop_gradient(words), words)
