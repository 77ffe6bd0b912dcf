"""Attention over texts that lie end to end.

    context_i = sum_j softmax_j((q_i . k_j) / sqrt(K)) v_j        j in the text of token i only

Texts of 3 and 5 tokens need no padding: end to end they are N = 8 tokens, where a padded batch has
10. cu_seqlens is [0, 3, 8]: where each text begins and, last of all, N.

The trap: nothing stands between two texts, and a token of the first would read the second. Form the
scores of each text by itself; a loop over the texts will do. A text may have no tokens.

Mind the axes: tokens stand before heads here, and a matrix product takes the last two axes.

Shapes: query, key and value (N, H, K); cu_seqlens, int32 (B + 1,), begins with 0 and ends with N.
The result is the context (N, H, K), in the query's dtype. `Tensor.softmax` may be used.
Source: minidistil/packing.py; `_one_by_one` in minidistil/ops/attention.py.
"""

from itertools import pairwise

import torch


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_seqlens: torch.Tensor
) -> torch.Tensor:
    """Attend from every token to the tokens of its text."""
    context = torch.zeros_like(query)
    # answer
    for first, end in pairwise(cu_seqlens.tolist()):
        q, k, v = (x[first:end].transpose(0, 1) for x in (query, key, value))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        context[first:end] = (scores.softmax(-1) @ v).transpose(0, 1)
    # end
    return context
