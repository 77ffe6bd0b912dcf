"""Packed batches: sequences end to end, no padding. (N,) ids and the boundaries between them.

`cu_seqlens` (cumulated sequence lengths) is int32 (B+1,): sequence i is tokens
`cu_seqlens[i] : cu_seqlens[i + 1]`. Padding costs as much as real tokens; this form has none.
"""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from minidistil.checks import values_are_visible


def check_packing(cu_seqlens: Tensor, max_seqlen: int | None, total: int) -> int:
    """Check the boundaries of a packed batch of `total` tokens.

    Returns:
        The longest sequence's length; where looking would cost a wait, `max_seqlen` if given,
        which may be more.

    Raises:
        ValueError: Boundaries that do not rise from 0 to `total`, or a `max_seqlen` too small.
    """
    if cu_seqlens.dim() != 1 or cu_seqlens.shape[0] < 1 or cu_seqlens.dtype != torch.int32:
        raise ValueError(
            "cu_seqlens must be int32 of shape (sequences + 1,), not "
            f"{cu_seqlens.dtype} of shape {tuple(cu_seqlens.shape)}"
        )
    if max_seqlen is not None and not values_are_visible(cu_seqlens):
        return max_seqlen
    lengths = cu_seqlens.diff()
    if values_are_visible(cu_seqlens):
        ends = (int(cu_seqlens[0]), int(cu_seqlens[-1]))
        if ends != (0, total) or bool((lengths < 0).any()):
            raise ValueError(
                f"cu_seqlens must rise from 0 to the {total} tokens of the batch, "
                f"but is {cu_seqlens.tolist()}"
            )
    longest = int(lengths.max()) if lengths.shape[0] else 0
    if max_seqlen is not None and max_seqlen < longest:
        raise ValueError(f"max_seqlen is {max_seqlen}, but the longest sequence has {longest}")
    return longest


def packed_positions(cu_seqlens: Int[Tensor, " ends"], total: int) -> Int[Tensor, " N"]:
    """Positions that start again at 0 with each sequence, (N,)."""
    starts = torch.repeat_interleave(cu_seqlens[:-1], cu_seqlens.diff(), output_size=total)
    return torch.arange(total, device=cu_seqlens.device) - starts


def first_tokens(hidden: Any, cu_seqlens: Tensor | None) -> Any:
    """The hidden state of each sequence's [CLS]: (B, S, D) or packed (N, D) -> (B, D).

    Padded, it may be an array of any framework: the ports call it too.

    Raises:
        ValueError: A sequence without a token has no first one.
    """
    if cu_seqlens is None:
        if hidden.shape[1] == 0:
            raise ValueError("a sequence of length 0 has no [CLS] token to classify")
        return hidden[:, 0]
    if values_are_visible(cu_seqlens) and bool((cu_seqlens.diff() == 0).any()):
        raise ValueError(f"cu_seqlens {cu_seqlens.tolist()} holds a sequence without a [CLS] token")
    return hidden[cu_seqlens[:-1].long()]
