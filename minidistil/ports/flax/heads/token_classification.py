"""Token classification: a label for every token, as in named-entity recognition.

The twin of `minidistil/heads/token_classification.py`.

Source: Devlin et al. 2018, section 5.3.
"""

from typing import Any

from flax import nnx

from minidistil.config import DistilBertConfig
from minidistil.heads import DistilBertForTokenClassification
from minidistil.ports.flax.heads.base import FlaxDistilBertHead, cross_entropy
from minidistil.ports.flax.layers import linear
from minidistil.ports.outputs import HeadOutput


class FlaxDistilBertForTokenClassification(FlaxDistilBertHead):
    """DistilBERT with a linear layer on every hidden state.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, num_labels=5)
        >>> model = FlaxDistilBertForTokenClassification(config, rngs=nnx.Rngs(0))
        >>> model(jnp.array([[1, 7, 5, 2]])).logits.shape
        (1, 4, 5)
    """

    torch_class = DistilBertForTokenClassification

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs=rngs)
        self.dropout = nnx.Dropout(config.dropout, rngs=rngs)
        self.classifier = linear(config, config.dim, config.num_labels, rngs)

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        position_ids: Any = None,
        *,
        head_mask: Any = None,
        token_type_ids: Any = None,
        train: bool = False,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Label tokens. All but `labels` as in `FlaxDistilBertModel`.

        Args:
            labels: (B, S): each token's label; -100 is ignored.

        Returns:
            A `HeadOutput`: `logits` (B, S, num_labels), and `loss`, the mean over the labels, where
            given.

        Raises:
            ValueError: Also for labels of another shape or out of range.
        """
        encoded = self.distilbert(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            head_mask=head_mask,
            train=train,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        hidden = self.dropout(encoded.last_hidden_state, deterministic=not train)
        logits = self.classifier(hidden)
        loss = None if labels is None else cross_entropy(logits, labels)
        output = HeadOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.returned(output, return_dict)
