"""Multiple choice: which of C texts fits best? Each is scored alone; softmax runs over the choices.

The same layers as a sequence classifier with one output, on B * C sequences at once. The twin of
`minidistil/heads/multiple_choice.py`.

Source: Devlin et al. 2018, section 4.4.
"""

from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.heads import DistilBertForMultipleChoice
from minidistil.packing import first_tokens
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.checks import check_tensors, fits
from minidistil.ports.tensorflow.heads.base import TFDistilBertHead, cross_entropy
from minidistil.ports.tensorflow.layers import linear
from minidistil.ports.tensorflow.outputs import HeadOutput


@keras.saving.register_keras_serializable(package="minidistil")
class TFDistilBertForMultipleChoice(TFDistilBertHead):
    """DistilBERT with a score for each choice."""

    torch_class = DistilBertForMultipleChoice

    def __init__(
        self, config: DistilBertConfig, *, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(config, dtype=dtype, name=name)
        dtype = self.dtype_policy
        self.pre_classifier = linear(config, config.dim, dtype, "pre_classifier")
        self.classifier = linear(config, 1, dtype, "classifier")
        self.dropout = keras.layers.Dropout(config.seq_classif_dropout, dtype=dtype)
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of the head; the encoder has made its own."""
        self.pre_classifier.build((None, self.config.dim))
        self.classifier.build((None, self.config.dim))

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
        """Score choices; all inputs have a dimension of them, the rest as in `TFDistilBertModel`.

        Args:
            input_ids: (B, C, S).
            attention_mask: (B, C, S).
            inputs_embeds: (B, C, S, D).
            labels: (B,), the right choice; -100 is ignored.
            position_ids: (B, C, S), or broadcastable to (B * C, S).

        Returns:
            `logits` (B, C), and `loss`, the mean over the labels, where given; `hidden_states` and
            `attentions` are those of the B * C sequences.

        Raises:
            ValueError: Also for inputs without choices, or labels out of range.
        """
        check_tensors(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
        )
        given = input_ids if inputs_embeds is None else inputs_embeds[..., 0]
        if given is None or len(given.shape) != 3:
            raise ValueError(
                "multiple choice takes input_ids (batch, choices, length) or inputs_embeds "
                f"(batch, choices, length, dim), not {None if given is None else given.shape}"
            )
        shape = tuple(given.shape)
        encoded = self.distilbert(
            None if input_ids is None else _merged(input_ids),
            _flat("attention_mask", attention_mask, shape),
            None if inputs_embeds is None else _merged(inputs_embeds),
            _flat("position_ids", position_ids, shape),
            head_mask=head_mask,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        pooled = ops.relu(self.pre_classifier(first_tokens(encoded.last_hidden_state, None)))
        logits = self.classifier(self.dropout(pooled))
        logits = ops.reshape(logits, ops.shape(given)[:2])
        loss = None if labels is None else cross_entropy(logits, labels)
        output = HeadOutput(
            loss=loss,
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
        return self.returned(output, return_dict)


def _flat(name: str, value: Tensor | None, shape: tuple[int | None, ...]) -> Tensor | None:
    """(B, C, S) -> (B * C, S); a tensor without the dimension of choices passes as it is."""
    if value is None or len(value.shape) != len(shape):
        return value
    if not fits(tuple(value.shape), shape):
        raise ValueError(f"{name} has shape {tuple(value.shape)}, the input {shape}")
    return _merged(value)


def _merged(value: Tensor) -> Tensor:
    """(B, C, ...) -> (B * C, ...)."""
    batch, choices, *rest = ops.shape(value)
    return ops.reshape(value, (batch * choices, *rest))
