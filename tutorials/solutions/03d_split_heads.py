"""Heads are a reshape, but not any reshape.

    heads[b, h, s, :] = hidden[b, s, h K : (h + 1) K]        K = D / H

The D columns of a token are dealt out to H heads, K neighbouring columns to each. Then each head is
a batch of its own: attention takes (B, H, S, K), and one matrix product serves all heads at once.
Afterwards the heads of a token are put side by side again.

The trap: reshape(B, H, S, K) has the right shape too, raises nothing, and mixes the tokens. And
what attention returns may lie in memory in another order than what you split: reshape copies where
it must, view refuses.

Shapes: hidden (B, S, D), D a multiple of n_heads; heads (B, H, S, K); any strides, any dtype, which
stays. merge_heads(split_heads(hidden, n_heads)) is hidden, to the bit.
Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2.2; minidistil/attention.py.
"""

import torch


def split_heads(hidden: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Deal the columns out to the heads: (B, S, D) -> (B, H, S, K)."""
    # answer
    return hidden.unflatten(-1, (n_heads, -1)).transpose(1, 2)
    # end


def merge_heads(heads: torch.Tensor) -> torch.Tensor:
    """Put the heads of each token side by side: (B, H, S, K) -> (B, S, D)."""
    # answer
    return heads.transpose(1, 2).flatten(-2)
    # end
