"""Sequence classification and regression: one answer a text, read off its [CLS] token.

pre_classifier -> ReLU -> dropout -> classifier. The twin of
`minidistil/heads/sequence_classification.py`.

Source: Devlin et al. 2018, section 4.1, with transformers' three kinds of problem.
"""

from typing import Any

import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from minidistil.config import PROBLEM_TYPES, DistilBertConfig
from minidistil.heads import DistilBertForSequenceClassification
from minidistil.packing import first_tokens
from minidistil.ports.flax.checks import as_array, check_range
from minidistil.ports.flax.heads.base import (
    IGNORE_INDEX,
    FlaxDistilBertHead,
    cross_entropy,
    mean_loss,
    widened,
)
from minidistil.ports.flax.layers import linear
from minidistil.ports.outputs import HeadOutput


class FlaxDistilBertForSequenceClassification(FlaxDistilBertHead):
    """DistilBERT with a classifier or regressor of whole sequences.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, num_labels=3)
        >>> model = FlaxDistilBertForSequenceClassification(config, rngs=nnx.Rngs(0))
        >>> out = model(jnp.array([[1, 7, 5, 2], [1, 8, 6, 2]]), labels=jnp.array([0, 2]))
        >>> out.logits.shape, out.loss.shape
        ((2, 3), ())
    """

    torch_class = DistilBertForSequenceClassification

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs=rngs)
        self.pre_classifier = linear(config, config.dim, config.dim, rngs)
        self.classifier = linear(config, config.dim, config.num_labels, rngs)
        self.dropout = nnx.Dropout(config.seq_classif_dropout, rngs=rngs)

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
        """Classify sequences. All but `labels` as in `FlaxDistilBertModel`.

        Args:
            labels: By `config.problem_type`; where that is None, one label means regression,
                integers mean a single label, anything else several.
                - "regression": (B,) or (B, num_labels) numbers; the loss is the mean square error.
                  No label is ignored, be it -100 or NaN.
                - "single_label_classification": (B,) labels, -100 is ignored; cross-entropy.
                - "multi_label_classification": (B, num_labels) from 0 to 1, -100 is ignored; binary
                  cross-entropy.

        Returns:
            A `HeadOutput`: `logits` (B, num_labels), and `loss`, a mean, where labels are given.

        Raises:
            ValueError: Also for labels of another shape or out of range, and an unknown
                `config.problem_type`.
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
        pooled = nnx.relu(self.pre_classifier(first_tokens(encoded.last_hidden_state, None)))
        logits = self.classifier(self.dropout(pooled, deterministic=not train))
        labels = as_array("labels", labels)
        loss = None if labels is None else self._loss(logits, labels)
        output = HeadOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.returned(output, return_dict)

    def _loss(self, logits: Array, labels: Array) -> Array:
        problem = self.config.problem_type
        if problem is None:
            several = "single" if jnp.issubdtype(labels.dtype, jnp.integer) else "multi"
            problem = "regression" if logits.shape[1] == 1 else f"{several}_label_classification"
        elif problem not in PROBLEM_TYPES:
            raise ValueError(f"config.problem_type is {problem!r}, none of {PROBLEM_TYPES}")
        single = problem == "single_label_classification"
        if single and labels.size == len(logits):
            return cross_entropy(logits, labels.reshape(-1))
        if problem == "regression" and logits.shape[1] == 1 and labels.ndim == 1:
            labels = labels[:, None]
        if single or labels.shape != logits.shape:
            raise ValueError(
                f"labels of shape {labels.shape} do not fit {problem} with logits of shape "
                f"{logits.shape}: an integer a text is its class; several labels a text are "
                "floating-point numbers, or integers with "
                "config.problem_type='multi_label_classification'"
            )
        logits = widened(logits)
        labels = labels.astype(logits.dtype)
        if problem == "regression":
            return jnp.square(logits - labels).sum() / max(1, logits.size)
        check_range("labels", labels, 2, f"no or yes, {IGNORE_INDEX} = ignored", IGNORE_INDEX)
        return mean_loss(optax.sigmoid_binary_cross_entropy(logits, labels), labels, 1)
