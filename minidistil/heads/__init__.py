"""The heads: a task on top of the encoder, one file a task, logits and loss together."""

from minidistil.heads.masked_lm import DistilBertForMaskedLM
from minidistil.heads.multiple_choice import DistilBertForMultipleChoice
from minidistil.heads.question_answering import DistilBertForQuestionAnswering
from minidistil.heads.sequence_classification import DistilBertForSequenceClassification
from minidistil.heads.token_classification import DistilBertForTokenClassification

__all__ = [
    "DistilBertForMaskedLM",
    "DistilBertForMultipleChoice",
    "DistilBertForQuestionAnswering",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
]
