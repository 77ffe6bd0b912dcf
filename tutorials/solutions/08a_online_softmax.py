"""A weighted sum under a softmax, in one pass, block by block.

    out = sum_i softmax(x)_i * values_i

FlashAttention never sees a whole row of logits: it takes them in blocks and keeps three things,
the largest logit so far (m), the sum of exponentials (l) and the weighted sum (acc), both relative
to m. When a block brings a larger logit, what was summed before is too large, by a factor that you
know.

The loop below has a fault: it gives the right answer as long as the largest logit is in the first
block. Find it, and mend it. Do not look at all of `logits` at once: that is the point.

Shapes: logits (N,), values (N, K), N >= 1; the result is (K,).
Source: Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135, 3.1.
"""

import torch


def weighted_sum(logits: torch.Tensor, values: torch.Tensor, block: int = 4) -> torch.Tensor:
    """Average the values with the weights softmax(logits), `block` of them at a time."""
    m = torch.tensor(-torch.inf)
    l = torch.tensor(0.0)
    acc = torch.zeros(values.shape[1])
    for first in range(0, len(logits), block):
        x, v = logits[first : first + block], values[first : first + block]
        # answer
        new_m = torch.maximum(m, x.max())
        rescale = (m - new_m).exp()
        p = (x - new_m).exp()
        l = l * rescale + p.sum()
        acc = acc * rescale + p @ v
        m = new_m
        # instead
        # new_m = torch.maximum(m, x.max())
        # p = (x - new_m).exp()
        # l = l + p.sum()
        # acc = acc + p @ v
        # m = new_m
        # end
    return acc / l
