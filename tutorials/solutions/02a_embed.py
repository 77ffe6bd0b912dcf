"""Embeddings: what a token is, and where it stands.

    hidden_s = LayerNorm(word vector of the id at s + position vector of p_s)

Attention knows no order: that one token comes before another must be said here, or no block ever
learns of it. Without position_ids the positions p are 0 .. S-1 in every row. With them they are the
caller's: a row that is padded on the left has its first real token at s > 0, and still wants p = 0
for it. The sum comes first, LayerNorm after it.

Shapes: input_ids (..., S), int64: any number of axes in front; words (V, D); positions (512, D) or
another number of rows, at least S; position_ids of the shape of input_ids, or None. `norm` is the
LayerNorm, a function of (..., D). The result is (..., S, D).
Source: Devlin et al. 2018, arXiv 1810.04805, section 3; minidistil/embeddings.py.
"""

from collections.abc import Callable

import torch


def embed(
    input_ids: torch.Tensor,
    words: torch.Tensor,
    positions: torch.Tensor,
    norm: Callable[[torch.Tensor], torch.Tensor],
    position_ids: torch.Tensor | None = None,
) -> torch.Tensor:
    """Look up word and position of each token, add, normalise."""
    # answer
    if position_ids is None:
        position_ids = torch.arange(input_ids.shape[-1])
    return norm(words[input_ids] + positions[position_ids])
    # end
