"""One vector for a text.

    mean   = sum of the vectors of its tokens / number of its tokens
    vector = mean / |mean|

Texts are compared by the cosine of their vectors. At length 1 that is a dot product, and one matrix
product compares all texts with all others.

The traps: padding has vectors, too, and they are not 0; a mean over the whole axis takes them in.
And a text without tokens is 0 / 0 twice, once in each line. Its vector here is 0 in every place.

A packed batch has no padding: text b is hidden[cu_seqlens[b] : cu_seqlens[b + 1]].

Shapes: hidden (B, S, D) and attention_mask int64 (B, S), 1 for a token and 0 for padding, in any
pattern; or hidden (N, D) and cu_seqlens int32 (B + 1,), B >= 1. The result is (B, D), in the dtype
of hidden, float32 or float64. F.normalize may be used.
Source: Reimers and Gurevych 2019, arXiv 1908.10084; minidistil/pipelines/feature_extraction.py.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F


def text_vectors(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """The mean vector of each text of a padded batch, at length 1."""
    # answer
    mask = attention_mask[..., None]
    mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
    return F.normalize(mean, dim=-1)
    # end


def packed_text_vectors(hidden: torch.Tensor, cu_seqlens: torch.Tensor) -> torch.Tensor:
    """The mean vector of each text of a packed batch, at length 1."""
    # answer
    texts = [hidden[first:end] for first, end in pairwise(cu_seqlens.tolist())]
    means = torch.stack([text.sum(0) / max(len(text), 1) for text in texts])
    return F.normalize(means, dim=-1)
    # end
