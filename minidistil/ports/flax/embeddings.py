"""Embeddings: token ids -> vectors. Word + position -> LayerNorm -> dropout.

The twin of `minidistil/embeddings.py`.

Source: Sanh et al. 2019, section 3; the fixed positions are Vaswani et al. 2017, section 3.5.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from minidistil.config import DistilBertConfig
from minidistil.embeddings import sinusoidal_table
from minidistil.ports.flax.checks import check_range
from minidistil.ports.flax.layers import layer_norm, look_up, table


class FixedPositions(nnx.Variable):
    """A position table that is a constant of the model: no `nnx.Param`, so nothing trains it."""


class Embeddings(nnx.Module):
    """Word and position embeddings, added, normalised and thinned out by dropout."""

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        self.word_embeddings = table(config, config.vocab_size, rngs)
        self.position_embeddings = table(config, config.max_position_embeddings, rngs)
        self.LayerNorm = layer_norm(config, rngs)
        self.dropout = nnx.Dropout(config.dropout, rngs=rngs)
        self.padding_id = config.pad_token_id
        if self.padding_id is not None:
            words = self.word_embeddings.embedding
            words[...] = words[...].at[self.padding_id].set(0)
        if config.sinusoidal_pos_embds:
            places = self.position_embeddings.embedding
            fixed = sinusoidal_table(*places.shape).numpy()
            constant = FixedPositions(jnp.asarray(fixed, places.dtype))
            self.position_embeddings.embedding = constant  # pyright: ignore[reportAttributeAccessIssue]

    def __call__(
        self,
        input_ids: Int[Array, "B S"] | None,
        inputs_embeds: Float[Array, "B S D"] | None,
        position_ids: Int[Array, "#B S"],
        train: bool = False,
    ) -> Float[Array, "B S D"]:
        """Embed a batch.

        Args:
            input_ids: Token ids; looked up unless `inputs_embeds` is given.
            inputs_embeds: Word embeddings, already looked up.
            position_ids: The place of each token, from 0.
            train: Whether dropout is on.

        Raises:
            ValueError: A token id or position that the tables do not have (NaN where its value is
                not known, under `jax.jit`), or embeddings of a wider dtype than the model's.
        """
        check_range(
            "position_ids",
            position_ids,
            self.position_embeddings.num_embeddings,
            "truncate the input or load a checkpoint with more positions",
        )
        places = look_up(self.position_embeddings, position_ids)
        if inputs_embeds is None:
            assert input_ids is not None
            words = self._look_up(input_ids)
        else:
            given, own = inputs_embeds.dtype, places.dtype
            if jnp.promote_types(given, own) != own:
                raise ValueError(f"inputs_embeds is {given}, wider than the model's {own}: cast it")
            words = inputs_embeds
        return self.dropout(self.LayerNorm(words + places), deterministic=not train)

    def _look_up(self, input_ids: Int[Array, "B S"]) -> Float[Array, "B S D"]:
        check_range(
            "input_ids",
            input_ids,
            self.word_embeddings.num_embeddings,
            "the tokenizer does not belong to this model, or the model needs more tokens",
        )
        words = look_up(self.word_embeddings, input_ids)
        if self.padding_id is None:
            return words
        # PyTorch's padding_idx: looking up the padding token teaches it nothing.
        padding = (input_ids == self.padding_id)[..., None]
        return jnp.where(padding, jax.lax.stop_gradient(words), words)
