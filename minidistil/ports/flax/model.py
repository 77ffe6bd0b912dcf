"""FlaxDistilBertModel: embeddings, then the transformer. Token ids in, hidden states out.

The twin of `minidistil/model.py`; argument names and order are the same.

What is JAX's own way: `train=True` in the call switches dropout on, and nothing else does (nnx's
`model.train()` and `model.eval()` change nothing). The random numbers come from the `rngs` that
the model was built with; each call with dropout moves them on, so `nnx.jit`, which keeps such
changes, is the compiler to use. On a GPU or TPU, JAX multiplies float32 matrices in a coarser
format unless `jax.default_matmul_precision("highest")` is set.

Source: Sanh et al. 2019.
Not here: packed batches (`cu_seqlens`, `max_seqlen`).
"""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from minidistil.config import DistilBertConfig
from minidistil.model import DistilBertModel
from minidistil.ports.flax.checks import as_array, check_ids
from minidistil.ports.flax.embeddings import Embeddings
from minidistil.ports.flax.masks import attention_mask_for, head_masks_for
from minidistil.ports.flax.pretrained import FlaxDistilBertPreTrainedModel
from minidistil.ports.flax.transformer import Transformer
from minidistil.ports.outputs import EncoderOutput


class FlaxDistilBertModel(FlaxDistilBertPreTrainedModel):
    """The DistilBERT encoder, without a head.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, hidden_dim=64)
        >>> model = FlaxDistilBertModel(config, rngs=nnx.Rngs(0))  # random weights
        >>> model(jnp.array([[1, 7, 5, 2]])).last_hidden_state.shape
        (1, 4, 32)
    """

    torch_class = DistilBertModel

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs)
        self.embeddings = Embeddings(config, rngs=rngs)
        self.transformer = Transformer(config, rngs=rngs)

    @property
    def encoder(self) -> "FlaxDistilBertModel":
        """The encoder of any model; here the model itself."""
        return self

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        inputs_embeds: Any = None,
        position_ids: Any = None,
        *,
        head_mask: Any = None,
        token_type_ids: Any = None,
        train: bool = False,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Encode a batch. Arrays are JAX's, or whatever `jnp.asarray` takes.

        Args:
            input_ids: Token ids, int32 or int64, (B, S).
            attention_mask: (B, S), nonzero = real token; or broadcastable to (B, H, S, S),
                boolean (True = attend) or float (added to the scores). None: attend everywhere.
            inputs_embeds: (B, S, D), in place of `input_ids`. float64 of NumPy or PyTorch counts as
                float32, as everywhere in JAX, unless jax_enable_x64 is on.
            position_ids: int32 or int64, (B, S) or (1, S); where None, 0, 1, 2, ...
            head_mask: (H,) or (L, H), a factor for each head's context.
            token_type_ids: Accepted and ignored: DistilBERT has no segments.
            train: Whether dropout is on.
            output_hidden_states: Return all L + 1 of them; where None, the config decides.
            output_attentions: Return the L weights (B, H, S, S); where None, the config decides.
            return_dict: False returns a tuple; where None, the config decides.

        Returns:
            An `EncoderOutput`: `last_hidden_state`, (B, S, D), and what else was asked for.

        Raises:
            TypeError: All inputs in one dict, or a text, in place of an array.
            ValueError: Shapes that do not fit one another; ids or positions of another dtype;
                embeddings of a wider one; a length that the table does not have; also ids or
                positions, for which a compiled function returns NaN.
        """
        config = self.config
        ids, embeds = as_array("input_ids", input_ids), as_array("inputs_embeds", inputs_embeds)
        shape = input_shape(ids, embeds, config.dim)
        position_ids = as_array("position_ids", position_ids)
        positions = _positions(position_ids, shape, config.max_position_embeddings)
        hidden, states, attentions = self.transformer(
            self.embeddings(ids, embeds, positions, train),
            attention_mask_for(as_array("attention_mask", attention_mask), *shape, config.n_heads),
            head_masks_for(as_array("head_mask", head_mask), config.n_layers, config.n_heads),
            train,
            _chosen(output_hidden_states, config.output_hidden_states),
            _chosen(output_attentions, config.output_attentions),
        )
        output = EncoderOutput(hidden, tuple(states) or None, tuple(attentions) or None)
        return self.returned(output, return_dict)


def _chosen(switch: bool | None, default: bool) -> bool:
    return default if switch is None else switch


def _positions(position_ids: Array | None, shape: tuple[int, int], longest: int) -> Array:
    """The given positions, or 0, 1, 2, ..., (B, S) or (1, S)."""
    length = shape[1]
    if position_ids is None:
        if length > longest:
            raise ValueError(
                f"a sequence of {length} tokens is longer than max_position_embeddings={longest}: "
                "truncate it (tokenizer(..., truncation=True)) or call "
                f"model.resize_position_embeddings({length}) of the PyTorch class"
            )
        return jnp.arange(length)[None]
    if position_ids.shape not in (shape, (1, length)):
        raise ValueError(f"position_ids has shape {position_ids.shape}, the input {shape}")
    check_ids("position_ids", position_ids)
    return position_ids


def input_shape(input_ids: Array | None, inputs_embeds: Array | None, dim: int) -> tuple[int, int]:
    """The (B, S) of the one input that was given.

    Raises:
        ValueError: Not exactly one was given, or another shape or dtype.
    """
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give exactly one of input_ids and inputs_embeds")
    if inputs_embeds is not None:
        shape = inputs_embeds.shape
        if len(shape) != 3 or shape[-1] != dim:
            raise ValueError(f"inputs_embeds has shape {shape}, expected (batch, length, {dim})")
        return shape[0], shape[1]
    assert input_ids is not None
    shape = input_ids.shape
    if len(shape) != 2:
        raise ValueError(f"input_ids has shape {shape}, expected (batch, length)")
    check_ids("input_ids", input_ids)
    return shape[0], shape[1]
