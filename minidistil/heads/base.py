"""What all heads share: the encoder below them, and cross-entropy that survives empty batches."""

import torch
from torch import Tensor

from minidistil.checks import check_range, check_tensors
from minidistil.config import DistilBertConfig
from minidistil.model import DistilBertModel
from minidistil.ops import layers
from minidistil.pretrained import DistilBertPreTrainedModel

IGNORE_INDEX = -100  # a label that teaches nothing; PyTorch's default


class DistilBertHead(DistilBertPreTrainedModel):
    """Abstract: an encoder, `distilbert`, and on top of it what the subclass adds."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = DistilBertModel(config)
        self.distilbert.config = self.config

    @property
    def encoder(self) -> DistilBertModel:
        """The encoder below the head."""
        return self.distilbert


def cross_entropy(
    logits: Tensor, labels: Tensor, name: str = "labels", ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """Mean cross-entropy over the labels that are not ignored; 0 where all are.

    Args:
        logits: (..., classes).
        labels: (...), each below `classes` or equal to `ignore_index`.
        name: What the labels are called in an error.
        ignore_index: The label that counts for nothing.

    Raises:
        ValueError: Shapes that do not fit, or a label out of range.
    """
    check_labels(labels, logits.shape[:-1], logits.shape[-1], name, ignore_index)
    return layers.cross_entropy(logits.flatten(end_dim=-2), labels.reshape(-1).long(), ignore_index)


def check_labels(
    labels: Tensor,
    shape: tuple[int, ...],
    classes: int,
    name: str = "labels",
    ignore_index: int = IGNORE_INDEX,
) -> None:
    """Check labels of a classification against the shape and the number of classes of its logits.

    Raises:
        TypeError: The labels are no tensor.
        ValueError: Another shape or dtype, or a label out of range.
    """
    check_tensors(**{name: labels})
    if labels.shape != shape:
        raise ValueError(
            f"{name} has shape {tuple(labels.shape)}, the logits {(*shape, classes)}: "
            f"expected {tuple(shape)}"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"{name} must be integers, one class each, not {labels.dtype}")
    check_range(name, labels, classes, f"{classes} classes, {ignore_index} = ignored", ignore_index)


def widened(logits: Tensor) -> Tensor:
    """Logits in at least float32: a sum of losses overflows float16 and is coarse in bfloat16."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
