"""DistilBERT in JAX, with flax.nnx: the six models, named as transformers 4 named its own.

They read and write the checkpoints of the PyTorch classes. Needs `minidistil[jax]`.
"""

from minidistil.ports.flax.heads import (
    FlaxDistilBertForMaskedLM,
    FlaxDistilBertForMultipleChoice,
    FlaxDistilBertForQuestionAnswering,
    FlaxDistilBertForSequenceClassification,
    FlaxDistilBertForTokenClassification,
)
from minidistil.ports.flax.model import FlaxDistilBertModel

__all__ = [
    "FlaxDistilBertForMaskedLM",
    "FlaxDistilBertForMultipleChoice",
    "FlaxDistilBertForQuestionAnswering",
    "FlaxDistilBertForSequenceClassification",
    "FlaxDistilBertForTokenClassification",
    "FlaxDistilBertModel",
]
