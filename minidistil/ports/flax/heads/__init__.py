"""The heads: a task on top of the encoder, one file a task, logits and loss together."""

from minidistil.ports.flax.heads.masked_lm import FlaxDistilBertForMaskedLM
from minidistil.ports.flax.heads.multiple_choice import FlaxDistilBertForMultipleChoice
from minidistil.ports.flax.heads.question_answering import FlaxDistilBertForQuestionAnswering
from minidistil.ports.flax.heads.sequence_classification import (
    FlaxDistilBertForSequenceClassification,
)
from minidistil.ports.flax.heads.token_classification import FlaxDistilBertForTokenClassification

__all__ = [
    "FlaxDistilBertForMaskedLM",
    "FlaxDistilBertForMultipleChoice",
    "FlaxDistilBertForQuestionAnswering",
    "FlaxDistilBertForSequenceClassification",
    "FlaxDistilBertForTokenClassification",
]
