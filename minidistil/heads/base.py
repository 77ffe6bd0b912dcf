"""What all heads share: the encoder below them, and cross-entropy that survives empty batches."""

import torch
import torch.nn.functional as F
from torch import Tensor

from minidistil.checks import check_range
from minidistil.config import DistilBertConfig
from minidistil.model import DistilBertModel
from minidistil.pretrained import DistilBertPreTrainedModel

IGNORE_INDEX = -100  # a label that teaches nothing; PyTorch's default


class DistilBertHead(DistilBertPreTrainedModel):
    """Abstract: an encoder, `distilbert`, and on top of it what the subclass adds."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = DistilBertModel(config)

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

    Returns:
        A scalar. PyTorch's own mean is 0/0 = NaN on a batch without a label; this sum divided by
        at least 1 is 0 there, with a zero gradient.

    Raises:
        ValueError: Shapes that do not fit, or a label out of range.
    """
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"{name} has shape {tuple(labels.shape)}, the logits {tuple(logits.shape)}: "
            f"expected {tuple(logits.shape[:-1])}"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"{name} must be integers, one class each, not {labels.dtype}")
    classes = logits.shape[-1]
    check_range(name, labels, classes, f"{classes} classes, {ignore_index} = ignored", ignore_index)
    labels = labels.reshape(-1).long()
    total = F.cross_entropy(
        widened(logits).reshape(-1, classes), labels, ignore_index=ignore_index, reduction="sum"
    )
    return total / (labels != ignore_index).sum().clamp(min=1)


def widened(logits: Tensor) -> Tensor:
    """Logits in at least float32: a sum of losses overflows float16 and is coarse in bfloat16."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
