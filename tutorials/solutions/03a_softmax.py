"""Softmax that never overflows.

    softmax(x)_i = exp(x_i) / sum_j exp(x_j)

exp(89) is already more than a float32 holds, and logits of 1,000 happen. But softmax does not
change when the same number is added to a whole row. Use that.

Shapes: x (..., N), any number of axes in front; the result has x's shape and dtype.
Source: Milakov and Gimelshein 2018, arXiv 1805.02867, algorithm 2.
"""

import torch


def softmax(x: torch.Tensor) -> torch.Tensor:
    """Turn each row of x into weights that are positive and sum to 1."""
    # answer
    shifted = x - x.amax(-1, keepdim=True)
    weights = shifted.exp()
    return weights / weights.sum(-1, keepdim=True)
    # end
