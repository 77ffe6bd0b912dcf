"""The direction of hidden states, and the mean of all tokens.

    loss = sum over real tokens of (1 - cos(h, k)) / number of real tokens

with h the student's hidden state of a token and k the teacher's. Memory holds few texts at a time,
so the tokens come in several batches: both the sum and the number go over all of them. A mean of
the batches' means is not that: it gives a token of a short batch more weight than one of a long
batch, and the gradient follows the short texts.

`cosine_sum` has one batch: the sum over its real tokens, and how many there are. `cosine_loss`
joins the batches, and divides once. Where no token is real at all, loss and gradient are 0.

The trap: what padding holds must not matter, NaN included, and 0 * NaN is NaN. Choose the real
tokens before anything is computed. The teacher is a constant: no gradient reaches it.

Shapes: student and teacher (B, S, D), float32, mask (B, S), boolean, True where a token is real;
B and S differ from batch to batch. The loss is ().
Source: Sanh et al. 2019, arXiv 1910.01108; minidistil/distillation/losses.py; the tutorial 11 of
this course, section 6.
"""

import torch
from torch import Tensor


def cosine_sum(student: Tensor, teacher: Tensor, mask: Tensor) -> tuple[Tensor, int]:
    """1 - cos of the real tokens of one batch, summed, and the number of these tokens."""
    # answer
    h, k = student[mask], teacher.detach()[mask]
    losses = 1 - torch.cosine_similarity(h, k, dim=-1)
    return losses.sum(), len(losses)
    # end


def cosine_loss(batches: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The mean over the real tokens of all batches; there is at least one batch."""
    # answer
    sums, numbers = zip(*(cosine_sum(*batch) for batch in batches), strict=True)
    return sum(sums) / max(sum(numbers), 1)
    # end
