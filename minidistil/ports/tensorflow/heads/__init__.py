"""The heads: a task on top of the encoder, one file a task, logits and loss together."""

from minidistil.ports.tensorflow.heads.masked_lm import TFDistilBertForMaskedLM
from minidistil.ports.tensorflow.heads.multiple_choice import TFDistilBertForMultipleChoice
from minidistil.ports.tensorflow.heads.question_answering import TFDistilBertForQuestionAnswering
from minidistil.ports.tensorflow.heads.sequence_classification import (
    TFDistilBertForSequenceClassification,
)
from minidistil.ports.tensorflow.heads.token_classification import (
    TFDistilBertForTokenClassification,
)

__all__ = [
    "TFDistilBertForMaskedLM",
    "TFDistilBertForMultipleChoice",
    "TFDistilBertForQuestionAnswering",
    "TFDistilBertForSequenceClassification",
    "TFDistilBertForTokenClassification",
]
