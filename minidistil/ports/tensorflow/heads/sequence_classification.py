"""Sequence classification and regression: one answer a text, read off its [CLS] token.

pre_classifier -> ReLU -> dropout -> classifier. BERT's pooler has a tanh here, and is pre-trained.
The twin of `minidistil/heads/sequence_classification.py`.

Source: Devlin et al. 2018, section 4.1, with transformers' three kinds of problem.
"""

import math
from typing import Any

import keras

from minidistil.config import PROBLEM_TYPES, DistilBertConfig
from minidistil.heads import DistilBertForSequenceClassification
from minidistil.heads.base import IGNORE_INDEX
from minidistil.packing import first_tokens
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.checks import check_range, check_tensors, fits, nan_outside
from minidistil.ports.tensorflow.heads.base import (
    TFDistilBertHead,
    at_least_one,
    cross_entropy,
    widened,
)
from minidistil.ports.tensorflow.layers import linear
from minidistil.ports.tensorflow.outputs import HeadOutput


@keras.saving.register_keras_serializable(package="minidistil")
class TFDistilBertForSequenceClassification(TFDistilBertHead):
    """DistilBERT with a classifier or regressor of whole sequences."""

    torch_class = DistilBertForSequenceClassification

    def __init__(
        self, config: DistilBertConfig, *, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(config, dtype=dtype, name=name)
        dtype = self.dtype_policy
        self.pre_classifier = linear(config, config.dim, dtype, "pre_classifier")
        self.classifier = linear(config, config.num_labels, dtype, "classifier")
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
        """Classify sequences. All but `labels` as in `TFDistilBertModel.call`.

        Args:
            labels: By `config.problem_type`; where that is None, one label means regression,
                integers mean a single label, anything else several. Nothing is written back.
                - "regression": (B,) or (B, num_labels) numbers; the loss is the mean square error.
                  No label is ignored, be it -100 or NaN.
                - "single_label_classification": (B,) labels, -100 is ignored; cross-entropy.
                - "multi_label_classification": (B, num_labels) from 0 to 1, -100 is ignored; binary
                  cross-entropy.

        Returns:
            `logits` (B, num_labels), and `loss`, a mean, where labels are given.

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
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        pooled = ops.relu(self.pre_classifier(first_tokens(encoded.last_hidden_state, None)))
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else self._loss(logits, labels)
        output = HeadOutput(
            loss=loss,
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
        return self.returned(output, return_dict)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        check_tensors(labels=labels)
        problem, given = self.config.problem_type, tuple(labels.shape)
        if problem is None:
            integers = keras.backend.is_int_dtype(keras.backend.standardize_dtype(labels.dtype))
            several = "single" if integers else "multi"
            problem = "regression" if logits.shape[1] == 1 else f"{several}_label_classification"
        elif problem not in PROBLEM_TYPES:
            raise ValueError(f"config.problem_type is {problem!r}, none of {PROBLEM_TYPES}")
        single = problem == "single_label_classification"
        # One label a text, however they are laid out; of open shapes, (B,) or (B, 1).
        open_ = None in (*given, logits.shape[0])
        if single and (given[1:] in ((), (1,)) if open_ else math.prod(given) == logits.shape[0]):
            return cross_entropy(logits, ops.reshape(labels, (-1,)))
        if problem == "regression" and logits.shape[1] == 1 and len(given) == 1:
            labels = labels[:, None]
        if single or not fits(tuple(labels.shape), tuple(logits.shape)):
            raise ValueError(
                f"labels of shape {given} do not fit {problem} with logits of shape "
                f"{tuple(logits.shape)}: an integer a text is its class; several labels a text are "
                "floats, or integers with config.problem_type='multi_label_classification'"
            )
        logits = widened(logits)
        labels = ops.cast(labels, logits.dtype)
        if problem == "regression":
            counted = ops.ones_like(logits)
            return ops.sum(ops.square(logits - labels)) / at_least_one(counted, logits.dtype)
        check_range("labels", labels, 2, f"no or yes, {IGNORE_INDEX} = ignored", IGNORE_INDEX)
        kept = labels != IGNORE_INDEX
        labels = ops.where(kept, labels, 0.0)
        labels += nan_outside(labels, 2, labels.dtype)
        losses = ops.binary_crossentropy(labels, logits, from_logits=True)
        return ops.sum(ops.where(kept, losses, 0.0)) / at_least_one(kept, logits.dtype)
