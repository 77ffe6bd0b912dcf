"""Attention, and the weights behind it.

    scores_ij  = (q_i . k_j) / sqrt(K)
    weights_ij = exp(scores_ij) / sum_t exp(scores_it)
    context_i  = sum_j weights_ij v_j

Token i asks with its query how well the key of each token j fits, and reads that share of j's
value. PyTorch's fused kernel returns no weights: whoever wants to see what a head reads forms both.

The softmax runs over the keys: every query of every head has weights that sum to 1. And K is the
width of a head, not that of the model. `Tensor.softmax` may be used.

Shapes: query, key and value (B, H, S, K), float32 or float64, not always contiguous. The result is
the context (B, H, S, K) and the weights (B, H, S, S), query before key, both in the query's dtype.
Source: Vaswani et al. 2017, arXiv 1706.03762, equation 1; `eager` in minidistil/ops/attention.py.
"""

import torch


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend from every token to every token: the context, then the weights."""
    # answer
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    weights = scores.softmax(-1)
    return weights @ value, weights
    # end
