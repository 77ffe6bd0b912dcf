r"""The losses of distillation: pure functions, each with its equation, each a SUM over its rows.

    hidden states, logits of student and teacher --losses--> sums --distiller--> weighted means

With s and t the logits of student and teacher, V of them a row, T the temperature, h and k their
hidden states of width D, y the labels:

    divergence  T^2 * sum_n KL(softmax(t_n / T) || softmax(s_n / T))
    masked_lm   sum_n -log softmax(s_n)[y_n]
    cosine      sum_n 1 - cos(h_n, k_n)
    square      sum_n |h_n - k_n|^2 / D

T^2 keeps the gradient's size: that of softmax(s / T) shrinks as 1 / T, and the difference of two
soft distributions as 1 / T again. Sums, not means: whoever adds them up over accumulation steps and
processes divides once, by the number of rows there were in all. A mean of means would give a token
of a short batch more weight than one of a long batch.

The teacher is a constant: no gradient reaches it. Everything is summed in float32 or wider.

Source: Hinton et al. 2015, arXiv 1503.02531 (divergence); Sanh et al. 2019, arXiv 1910.01108.
Not here: which rows count, and the weights of the losses (`distiller.py`). The same in one Triton
kernel is `minidistil_kernels.distillation_loss`, and reads each logit once.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from minidistil.heads.base import IGNORE_INDEX, widened


def divergence(student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    """T^2 * KL(teacher || student) of softened rows, summed: (N, V), (N, V) -> ().

    What the teacher holds impossible, a logit of -inf, costs nothing: 0 log 0 = 0.

    Examples:
        >>> teacher = torch.tensor([[2.0, 0.0]])
        >>> divergence(teacher, teacher).item()
        0.0
        >>> divergence(torch.zeros(1, 2), teacher, temperature=1.0)  # log 2 - the entropy
        tensor(0.3278)
    """
    log_q = (widened(student) / temperature).log_softmax(-1)
    log_p = (widened(teacher).detach() / temperature).log_softmax(-1)
    terms = log_p.exp() * (log_p - log_q)
    return temperature**2 * terms.masked_fill(log_p == -torch.inf, 0.0).sum()


def masked_lm(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy summed over the rows whose label is not -100: (N, V), (N,) -> ()."""
    return F.cross_entropy(widened(logits), labels, ignore_index=IGNORE_INDEX, reduction="sum")


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - cos, summed over rows: (N, D), (N, D) -> ().

    1e-12 is added to each squared norm, as in `torch.nn.CosineEmbeddingLoss`, so that a row of
    zeros has cosine 0.
    """
    student, teacher = widened(student), widened(teacher).detach()
    norms = (student.square().sum(-1) + 1e-12) * (teacher.square().sum(-1) + 1e-12)
    return (1 - (student * teacher).sum(-1) / norms.sqrt()).sum()


def square(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of each row, summed over rows: (N, D), (N, D) -> ()."""
    difference = widened(student) - widened(teacher).detach()
    return difference.square().mean(-1).sum()


def binary_divergence(student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    """`divergence` where every logit is an answer of its own, yes or no: (N, C), (N, C) -> ()."""
    ours, theirs = (torch.stack((x, torch.zeros_like(x)), -1) for x in (student, teacher))
    return divergence(ours, theirs, temperature)
