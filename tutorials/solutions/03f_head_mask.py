"""Heads that are silenced, and heads that are gone.

A head mask multiplies the context of each head by a number f_h. As the sum over keys is linear,
that is the same as multiplying the head's weights:

    f_h sum_j weights_hij v_hj = sum_j (f_h weights_hij) v_hj

Where f_h is 0 the head adds nothing to the output, and yet all its work is done. Pruning takes it
out of the layer: return the weights of a smaller layer with the same output.

Head h owns K = D / H neighbouring places of what q, k and v give, and of what out takes. The trap:
as in nn.Linear, a weight is (outputs, inputs). For which of the four is a head's place a row?

Shapes: q, k, v and out (D, D), without biases; heads is a set of numbers below n_heads, never all
of them. Of n heads that stay, in their order, q, k and v are (n K, D), and out is (D, n K).
Source: Michel et al. 2019, arXiv 1905.10650; `prune_heads` in minidistil/attention.py.
"""

import torch


def prune(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    n_heads: int,
    heads: set[int],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Take these heads out of a layer: the smaller q, k, v and out."""
    # answer
    width = len(q) // n_heads
    kept = [i for i in range(len(q)) if i // width not in heads]
    return q[kept], k[kept], v[kept], out[:, kept]
    # end
