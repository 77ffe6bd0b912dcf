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
POSITIONAL = (*QKV, "mask", "cu_seqlens", "max_seqlen")


def pair_of(result: Any) -> tuple[Tensor, Tensor | None]:
    """What `padded` returned: another form than (context, weights or None) is an AssertionError."""
    parts = result if isinstance(result, tuple) else ()
    kinds = ", ".join(type(part).__name__ for part in parts)
    shown = f"({kinds})" if isinstance(result, tuple) else type(result).__name__
    assert len(parts) == 2 and isinstance(parts[0], Tensor), (
        f"returned {shown}, not (context, weights or None)"
    )
    return parts[0], parts[1]


def context_of(padded: Padded) -> Callable[..., Tensor]:
    """`padded` without the weights it may return."""
    return lambda **inputs: pair_of(call(padded, inputs))[0]


def call(fn: Callable[..., Any], inputs: dict[str, Any]) -> Any:
    """As the model calls it: up to the mask, or the lengths, by place, and the rest by name."""
    first = [inputs[name] for name in POSITIONAL if name in inputs]
    return fn(*first, **{k: v for k, v in inputs.items() if k not in POSITIONAL})
