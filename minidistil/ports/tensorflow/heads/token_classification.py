"""Token classification: a label for every token, as in named-entity recognition.

The twin of `minidistil/heads/token_classification.py`.

Source: Devlin et al. 2018, section 5.3.
"""

from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.heads import DistilBertForTokenClassification
from minidistil.ports.tensorflow.backend import Tensor
from minidistil.ports.tensorflow.heads.base import TFDistilBertHead, cross_entropy
from minidistil.ports.tensorflow.layers import linear
from minidistil.ports.tensorflow.outputs import HeadOutput


@keras.saving.register_keras_serializable(package="minidistil")
class TFDistilBertForTokenClassification(TFDistilBertHead):
    """DistilBERT with a linear layer on every hidden state."""

    torch_class = DistilBertForTokenClassification

    def __init__(
        self, config: DistilBertConfig, *, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(config, dtype=dtype, name=name)
        self.dropout = keras.layers.Dropout(config.dropout, dtype=self.dtype_policy)
        self.classifier = linear(config, config.num_labels, self.dtype_policy, "classifier")
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of the head; the encoder has made its own."""
        self.classifier.build((None, None, self.config.dim))

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
        """Label tokens. All but `labels` as in `TFDistilBertModel.call`.

        Args:
            labels: (B, S): each token's label; -100 is ignored.

        Returns:
            `logits` (B, S, num_labels), and `loss`, the mean over the labels, where given.

        Raises:
            ValueError: Also for labels of another shape or out of range.
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
        logits = self.classifier(self.dropout(encoded.last_hidden_state))
        loss = None if labels is None else cross_entropy(logits, labels)
        output = HeadOutput(
            loss=loss,
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
        return self.returned(output, return_dict)
