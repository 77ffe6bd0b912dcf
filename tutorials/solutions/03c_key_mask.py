"""Attention that passes over padding.

    weights_ij = m_j exp(scores_ij) / sum_t m_t exp(scores_it)

m_j is 1 where key j counts and 0 where it is masked. Nobody may read padding, so a masked key gets
a weight of exactly 0, and the others share what it would have had.

The trap is a text without any key: 0 / 0 is NaN, and one NaN makes the loss of the whole batch NaN.
Here all weights of such a text are 0, and so is its context, and the gradient that it sends back.

The scores are there; write what makes weights of them. `Tensor.softmax` may be used.

Shapes: query, key and value (B, H, S, K), float32 or float64; key_mask, boolean (B, S), True means
that the key counts. The result is the context (B, H, S, K) and the weights (B, H, S, S).
Source: docs/notation.md, "Masks"; `eager` in minidistil/ops/attention.py.
"""

import torch


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, key_mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend from every token to those whose key counts: the context, then the weights."""
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    # answer
    mask = key_mask[:, None, None, :]
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1).masked_fill(~mask, 0.0)
    # end
    return weights @ value, weights
