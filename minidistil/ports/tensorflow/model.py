"""TFDistilBertModel: embeddings, then the transformer. Token ids in, hidden states out.

The twin of `minidistil/model.py`; the heads in `heads/` put a task on top of it.

Source: Sanh et al. 2019; argument names and order are those of the PyTorch class.
"""

from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.model import DistilBertModel
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.checks import check_ids, check_tensors, fits
from minidistil.ports.tensorflow.embeddings import Embeddings
from minidistil.ports.tensorflow.masks import attention_mask_for, head_masks_for
from minidistil.ports.tensorflow.outputs import EncoderOutput
from minidistil.ports.tensorflow.pretrained import TFDistilBertPreTrainedModel
from minidistil.ports.tensorflow.transformer import Transformer


@keras.saving.register_keras_serializable(package="minidistil")
class TFDistilBertModel(TFDistilBertPreTrainedModel):
    """The DistilBERT encoder, without a head.

    Examples:
        >>> import numpy as np
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, hidden_dim=64)
        >>> model = TFDistilBertModel(config)  # random weights
        >>> model(np.array([[1, 7, 5, 2]])).last_hidden_state.shape
        TensorShape([1, 4, 32])
    """

    torch_class = DistilBertModel

    def __init__(
        self, config: DistilBertConfig, *, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(config, dtype=dtype, name=name)
        self.embeddings = Embeddings(config, self.dtype_policy, "embeddings")
        self.transformer = Transformer(config, self.dtype_policy, "transformer")
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights."""
        self.embeddings.build((None, None, self.config.dim))
        self.transformer.build((None, None, self.config.dim))

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        head_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> EncoderOutput | tuple:
        """Encode a batch. Tensors may be NumPy's; the first argument may be a dict of all of them.

        Args:
            input_ids: Token ids, int32 or int64, (B, S).
            attention_mask: (B, S), nonzero = real token; or broadcastable to (B, H, S, S),
                boolean (True = attend) or float (added to the scores). None: attend everywhere.
            inputs_embeds: (B, S, D), in place of `input_ids`.
            position_ids: int32 or int64, (B, S) or (1, S); where None, 0, 1, 2, ...
            head_mask: (H,) or (L, H), a factor for each head's context.
            token_type_ids: Accepted and ignored: DistilBERT has no segments.
            output_hidden_states: Return all L + 1 of them; where None, the config decides.
            output_attentions: Return the L weights (B, H, S, S); where None, the config decides.
            return_dict: False returns a tuple; where None, the config decides.
            training: Whether dropout is on. Keras hands it on to every layer below.

        Returns:
            `last_hidden_state`, (B, S, D), and what else was asked for.

        Raises:
            TypeError: A list in place of a tensor.
            ValueError: Shapes that do not fit one another; ids or positions of another dtype; ids,
                positions or a length that the tables do not have (in a graph: NaN, or an error of
                TensorFlow's); embeddings of a wider dtype than the model's.
        """
        check_tensors(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            head_mask=head_mask,
        )
        config = self.config
        batch, length = input_shape(input_ids, inputs_embeds, config.dim)
        if inputs_embeds is not None:
            given, own = keras.backend.standardize_dtype(inputs_embeds.dtype), self.compute_dtype
            if keras.backend.result_type(given, own) != own:
                raise ValueError(f"inputs_embeds is {given}, wider than the model's {own}: cast it")
            inputs_embeds = ops.cast(inputs_embeds, own)
        places: Tensor = position_ids
        if places is None:
            if length is not None and length > config.max_position_embeddings:
                raise ValueError(
                    f"a sequence of {length} tokens is longer than max_position_embeddings="
                    f"{config.max_position_embeddings}: truncate it (tokenizer(..., "
                    "truncation=True)) or load a checkpoint with more positions"
                )
            given = ops.shape(input_ids if inputs_embeds is None else inputs_embeds)
            places = ops.expand_dims(ops.arange(given[1], dtype="int32"), 0)
        check_ids("position_ids", places)
        shape = tuple(places.shape)
        if not (fits(shape, (batch, length)) or fits(shape, (1, length))):
            raise ValueError(f"position_ids has shape {shape}, the input {(batch, length)}")

        hidden, states, attentions = self.transformer(
            self.embeddings(input_ids, inputs_embeds, places),
            attention_mask_for(attention_mask, batch, length, config.n_heads),
            head_masks_for(head_mask, config.n_layers, config.n_heads),
            output_hidden_states=_chosen(output_hidden_states, config.output_hidden_states),
            output_attentions=_chosen(output_attentions, config.output_attentions),
        )
        output = EncoderOutput(
            last_hidden_state=hidden,
            hidden_states=tuple(states) or None,
            attentions=tuple(attentions) or None,
        )
        return self.returned(output, return_dict)


def _chosen(switch: bool | None, default: bool) -> bool:
    return default if switch is None else switch


def input_shape(
    input_ids: Tensor, inputs_embeds: Tensor, dim: int
) -> tuple[int | None, int | None]:
    """The (B, S) of the one input that was given; None for what is not yet known.

    Raises:
        ValueError: Not exactly one was given, or another shape or dtype.
    """
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give exactly one of input_ids and inputs_embeds")
    if inputs_embeds is not None:
        shape = tuple(inputs_embeds.shape)
        if not fits(shape, (None, None, dim)):
            raise ValueError(f"inputs_embeds has shape {shape}, expected (batch, length, {dim})")
        return shape[0], shape[1]
    shape = tuple(input_ids.shape)
    if len(shape) != 2:
        raise ValueError(f"input_ids has shape {shape}, expected (batch, length)")
    check_ids("input_ids", input_ids)
    return shape
