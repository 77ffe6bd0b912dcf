"""What all heads share: the encoder below them, and cross-entropy that survives empty batches."""

from typing import Any

import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from minidistil.config import DistilBertConfig
from minidistil.heads.base import IGNORE_INDEX
from minidistil.ports.flax.checks import as_array, check_range
from minidistil.ports.flax.model import FlaxDistilBertModel
from minidistil.ports.flax.pretrained import FlaxDistilBertPreTrainedModel


class FlaxDistilBertHead(FlaxDistilBertPreTrainedModel):
    """Abstract: an encoder, `distilbert`, and on top of it what the subclass adds."""

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs)
        self.distilbert = FlaxDistilBertModel(config, rngs=rngs)
        self.distilbert._static = self._static  # one config for both

    @property
    def encoder(self) -> FlaxDistilBertModel:
        """The encoder below the head."""
        return self.distilbert


def cross_entropy(logits: Array, labels: Any, name: str = "labels") -> Array:
    """Mean cross-entropy over the labels that are not -100; 0, with zero gradient, where all are.

    Args:
        logits: (..., classes).
        labels: (...), each below `classes` or -100.
        name: What the labels are called in an error.

    Raises:
        ValueError: Shapes that do not fit, or a label out of range; compiled, the loss is NaN.
    """
    labels, shape, classes = as_array(name, labels), logits.shape[:-1], logits.shape[-1]
    if labels.shape != shape:
        raise ValueError(
            f"{name} has shape {labels.shape}, the logits {logits.shape}: expected {shape}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, one class each, not {labels.dtype}")
    advice = f"{classes} classes, {IGNORE_INDEX} = ignored"
    check_range(name, labels, classes, advice, IGNORE_INDEX)
    labels = labels.astype(int)  # an int8 could not be compared with 300 classes
    classified = jnp.where(labels == IGNORE_INDEX, 0, labels)
    losses = optax.softmax_cross_entropy_with_integer_labels(widened(logits), classified)
    return mean_loss(losses, labels, classes - 1)


def mean_loss(losses: Array, labels: Array, highest: int) -> Array:
    """Mean of the losses whose label is not -100, or 0.

    A label out of [0, highest] makes it NaN, and the gradient too: compiled functions cannot raise.
    """
    kept = labels != IGNORE_INDEX
    wrong = kept & ~((labels >= 0) & (labels <= highest))
    losses = jnp.where(kept, losses, 0) * jnp.where(wrong, jnp.nan, 1)
    return losses.sum() / jnp.maximum(kept.sum(), 1)


def widened(logits: Array) -> Array:
    """Logits in at least float32: a sum of losses overflows float16 and is coarse in bfloat16."""
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
