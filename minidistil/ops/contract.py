"""The contract of attention: what an implementation is, and what holds it to that.

The contract, which the model keeps on its side too:

- `query`, `key`, `value` and the context are (B, H, S, K); `scale` defaults to 1/sqrt(K).
- `mask` is None, boolean (True = attend) or floating point (added to the scores; exactly -inf
  where blocked, in the dtype of the query), broadcastable to (B, H, S, S). A key mask arrives
  as (B, 1, 1, S), never expanded.
- A query whose keys are all masked gets a zero context and sends back a zero gradient.
- `dropout_p` is 0 in eval mode; `need_weights` asks for the weights *after* dropout.

Not here: implementations (`attention.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Padded = Callable[..., Any]
Packed = Callable[..., Tensor]
NO_WEIGHTS = (
    "attention weights were asked for, but the implementation {!r} never forms them: "
    'call model.set_attn_implementation("eager") first'
)


@dataclass(frozen=True)
class AttentionImpl:
    """One way to compute attention.

    Attributes:
        padded: `(query, key, value, mask=None, *, scale=None, dropout_p=0.0, need_weights=False)
            -> (context, weights or None)` on (B, H, S, K).
        packed: `(query, key, value, cu_seqlens, max_seqlen, *, scale=None, dropout_p=0.0)
            -> context` on (N, H, K); None where there is no packed form.
    """

    padded: Padded
    packed: Packed | None = None

    def on_padded(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        dropout_p: float,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Call `padded` and hold what it returns to the contract.

        Raises:
            ValueError: It is something else, or lacks the weights that were asked for.
        """
        result = self.padded(
            query, key, value, mask, dropout_p=dropout_p, need_weights=need_weights
        )
        # A bare context would come apart along its batch, which may well be of two.
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise ValueError(f"{self.padded} returned {_shown(result)}, not (context, weights)")
        _check_context(self.padded, result[0], query)
        if need_weights and result[1] is None:
            raise ValueError(NO_WEIGHTS.format(self.padded))
        return result[0], result[1]

    def on_packed(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        cu_seqlens: Tensor,
        max_seqlen: int,
        dropout_p: float,
    ) -> Tensor:
        """Call `packed` and hold what it returns to the contract.

        Raises:
            ValueError: It is something else, or there is no packed form.
        """
        if self.packed is None:
            raise ValueError(
                "this attention implementation has no packed form (cu_seqlens); give "
                "ops.AttentionImpl(padded=..., packed=...) instead of a bare callable"
            )
        context = self.packed(query, key, value, cu_seqlens, max_seqlen, dropout_p=dropout_p)
        _check_context(self.packed, context, query)
        return context


def _check_context(function: Callable[..., Any], context: Any, query: Tensor) -> None:
    if not isinstance(context, Tensor) or context.shape != query.shape:
        raise ValueError(
            f"{function} returned a context of {_shown(context)}, not of {_shown(query)}"
        )


def _shown(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
