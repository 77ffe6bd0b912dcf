"""What a training run minimises, and how a loss is kept a mean over everything at once.

A loss is a mean over tokens, or texts. Formed batch by batch and averaged over accumulation steps
and processes it would be a mean of means, in which a token of a short batch weighs more. So an
`Objective` returns sums, and says beforehand, from the batch alone, how many terms each has: the
trainer adds up those counts over the whole step, then divides. One process with a large batch and
many with small ones therefore compute the same loss and the same gradient.
"""

from typing import Any

from torch import Tensor, nn

from minidistil.pretrained import DistilBertPreTrainedModel

Batch = dict[str, Any]


class Objective(nn.Module):
    """Abstract: a module that holds the model to be trained and turns a batch into losses.

    Attributes:
        weights: The factor of each loss in the total, by name.
    """

    weights: dict[str, float]

    @property
    def student(self) -> DistilBertPreTrainedModel:
        """The model that is trained and saved."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def counts(self, batch: Batch) -> dict[str, float]:
        """How many terms each loss is a sum of on this batch, without running the model."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Each loss of `weights`, as a SUM over this batch, ()."""
        raise TypeError(f"{type(self).__name__} is abstract")


def tokens_of(batch: Batch) -> int:
    """How many real tokens a batch has."""
    if "attention_mask" in batch:
        return int(batch["attention_mask"].sum())
    return batch["input_ids"].numel()
