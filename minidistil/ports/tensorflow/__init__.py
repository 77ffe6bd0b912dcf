"""DistilBERT in Keras 3 on TensorFlow, with the weights and the numbers of the PyTorch classes.

The files have the names and the order of `minidistil/`, so that one can be read beside the other.
Not here: packed batches (`cu_seqlens`), gradient checkpointing, resizing and pruning (a checkpoint
that was resized or pruned in PyTorch loads), kernels, tokenizers.
"""

import minidistil.ports.tensorflow.backend  # noqa: F401 (first: it decides what is imported how)
from minidistil.ports.tensorflow.heads import (
    TFDistilBertForMaskedLM,
    TFDistilBertForMultipleChoice,
    TFDistilBertForQuestionAnswering,
    TFDistilBertForSequenceClassification,
    TFDistilBertForTokenClassification,
)
from minidistil.ports.tensorflow.model import TFDistilBertModel

__all__ = [
    "TFDistilBertForMaskedLM",
    "TFDistilBertForMultipleChoice",
    "TFDistilBertForQuestionAnswering",
    "TFDistilBertForSequenceClassification",
    "TFDistilBertForTokenClassification",
    "TFDistilBertModel",
]
