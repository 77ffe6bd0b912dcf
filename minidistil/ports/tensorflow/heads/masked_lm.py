"""Masked language modelling: which token belongs where [MASK] stands?

transform -> activation -> LayerNorm -> projector. The projector's weight is the word embedding's
(tied), its bias its own. The twin of `minidistil/heads/masked_lm.py`.

Source: Devlin et al. 2018, section 3.1, task 1; the tying is Press and Wolf 2016.
"""

from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.heads import DistilBertForMaskedLM
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.feed_forward import ACTIVATIONS
from minidistil.ports.tensorflow.heads.base import TFDistilBertHead, cross_entropy
from minidistil.ports.tensorflow.layers import layer_norm, linear
from minidistil.ports.tensorflow.outputs import HeadOutput


class TiedProjector(keras.layers.Layer):
    """A linear layer whose kernel is the transposed table of an embedding, the same variable."""

    def __init__(
        self, words: keras.layers.Embedding, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.words = words

    def build(self, input_shape: Any) -> None:
        """Make the bias; the embedding has made its table."""
        shape = (self.words.input_dim,)
        self.bias = self.add_weight(shape=shape, initializer="zeros", name="bias")

    def call(self, hidden: Tensor) -> Tensor:
        """Project hidden states (..., D) onto the words (..., V)."""
        return ops.matmul(hidden, ops.transpose(self.words.embeddings)) + self.bias


@keras.saving.register_keras_serializable(package="minidistil")
class TFDistilBertForMaskedLM(TFDistilBertHead):
    """DistilBERT with a masked-language-modelling head."""

    torch_class = DistilBertForMaskedLM

    def __init__(
        self, config: DistilBertConfig, *, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(config, dtype=dtype, name=name)
        dtype = self.dtype_policy
        self.vocab_transform = linear(config, config.dim, dtype, "vocab_transform")
        self.activation = ACTIVATIONS[config.activation]
        self.vocab_layer_norm = layer_norm(dtype, "vocab_layer_norm")
        self.vocab_projector = (
            TiedProjector(self.distilbert.embeddings.word_embeddings, dtype, "vocab_projector")
            if config.tie_word_embeddings
            else linear(config, config.vocab_size, dtype, "vocab_projector")
        )
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of the head; the encoder has made its own."""
        for layer in (self.vocab_transform, self.vocab_layer_norm, self.vocab_projector):
            layer.build((None, None, self.config.dim))

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        head_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> HeadOutput | tuple:
        """Predict tokens. All but `labels` as in `TFDistilBertModel.call`.

        Args:
            labels: (B, S): the token that belongs in each place; -100 is ignored.

        Returns:
            `logits` (B, S, V), and `loss`, the mean over the labels, where given.

        Raises:
            ValueError: Also for labels of another shape or outside the vocabulary.
        """
        encoded = self.distilbert(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            head_mask=head_mask,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        hidden = self.activation(self.vocab_transform(encoded.last_hidden_state))
        logits = self.vocab_projector(self.vocab_layer_norm(hidden))
        loss = None if labels is None else cross_entropy(logits, labels)
        output = HeadOutput(
            loss=loss,
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
        return self.returned(output, return_dict)
