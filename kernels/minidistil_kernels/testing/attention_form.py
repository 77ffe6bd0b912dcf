"""The form in which the model calls attention, and what is demanded of its result.

    padded(query, key, value, mask=None, *, scale=None, dropout_p=0.0, need_weights=False)
        -> (context, weights or None)
    packed(query, key, value, cu_seqlens, max_seqlen, *, scale=None, dropout_p=0.0) -> context

Padded, query, key, value and context are (B, H, S, K), and the mask is boolean (B, 1, 1, S);
packed, they are (N, H, K), and text b is rows cu_seqlens[b] to cu_seqlens[b + 1].

Not here: the laws (`attention.py`, `attention_dropout.py`, `attention_packed.py`).
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

Padded = Callable[..., tuple[Tensor, Tensor | None]]
Packed = Callable[..., Tensor]
QKV = ("query", "key", "value")


def context_of(padded: Padded) -> Callable[..., Tensor]:
    """`padded` without the weights it may return; another form of result is an AssertionError."""

    def call(**inputs: Any) -> Tensor:
        result = padded(**inputs)
        pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Tensor)
        shown = (
            f"({', '.join(type(part).__name__ for part in result)})"
            if isinstance(result, tuple)
            else type(result).__name__
        )
        assert pair, f"returned {shown}, not (context, weights or None)"
        return result[0]

    return call
