"""Attention of a packed batch on a CPU: texts of one length at a time.

    (N, H, K), lengths 5 5 9 --groups--> (2, H, 5, K), (1, H, 9, K) --sdpa--> (N, H, K)

Sequences lie end to end and sorted by length (`encoder.py`), so those of one length are one block
of memory: a view of it is a batch without padding, and goes to PyTorch's kernel whole. There are as
many calls as lengths, not as texts.

Not here: the kernel (`torch.nn.functional.scaled_dot_product_attention`); padded batches, which
never reach a block of the fast path.
"""

from itertools import groupby

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from minidistil.ops.contract import AttentionImpl


def grouped(
    query: Float[Tensor, "N H K"],
    key: Float[Tensor, "N H K"],
    value: Float[Tensor, "N H K"],
    cu_seqlens: Int[Tensor, " ends"],
    max_seqlen: int,
    *,
    scale: float | None = None,
    dropout_p: float = 0.0,
) -> Float[Tensor, "N H K"]:
    """Attention of each sequence to itself. Any order is right; sorted by length is fast."""
    contexts, first = [], 0
    for length, texts in groupby(cu_seqlens.diff().tolist()):
        count = len([*texts])
        rows = slice(first, first := first + count * length)
        # (count * n, H, K) -> (count, H, n, K), all views.
        batch = [x[rows].unflatten(0, (count, length)).transpose(1, 2) for x in (query, key, value)]
        context = F.scaled_dot_product_attention(*batch, dropout_p=dropout_p, scale=scale)
        contexts.append(context.transpose(1, 2).flatten(0, 1))
    if len(contexts) == 1:
        return contexts[0]
    return torch.cat(contexts) if contexts else torch.zeros_like(query)


def _padded(*_: object, **__: object) -> tuple[Tensor, None]:
    raise ValueError("a block of the fast path takes packed batches: call the whole model")


GROUPED = AttentionImpl(_padded, grouped)
