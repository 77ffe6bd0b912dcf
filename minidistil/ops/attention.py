r"""Attention: softmax(Q K^T * scale + mask) V, in several implementations of one contract.

On the way of the data: `minidistil/attention.py` projects and splits heads, then calls an
`AttentionImpl`, the contract of which is in `contract.py`. `eager` is the specification: every line
of it is the mathematics. `sdpa` calls PyTorch's fused kernel. A callable of the same signature is
welcome wherever a name is.

Source: Vaswani et al. 2017, arXiv 1706.03762, equation 1.
Not here: projections and heads (`minidistil/attention.py`), masks (`minidistil/masks.py`).
"""

from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from minidistil.checks import values_are_visible
from minidistil.ops.contract import NO_WEIGHTS, AttentionImpl, Packed, Padded


def eager(
    query: Float[Tensor, "B H S K"],
    key: Float[Tensor, "B H S K"],
    value: Float[Tensor, "B H S K"],
    mask: Shaped[Tensor, "#B #H #S #S"] | None = None,
    *,
    scale: float | None = None,
    dropout_p: float = 0.0,
    need_weights: bool = False,
) -> tuple[Float[Tensor, "B H S K"], Float[Tensor, "B H S S"] | None]:
    """Attention written out: the specification of all the others. Stores all (S, S) weights."""
    # Half precision forms its scores and sums its exponentials in fp32 (unless autocast is on,
    # which forms the scores in its own dtype).
    wide = torch.promote_types(query.dtype, torch.float32)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query.to(wide) @ key.to(wide).transpose(-1, -2) * factor
    allowed = None
    if mask is not None:
        allowed = mask if mask.dtype == torch.bool else mask > -torch.inf
        if mask.dtype != torch.bool:
            scores = scores + mask
        # Not -inf: a row of nothing but -inf would be NaN, and so would its gradient.
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1).to(query.dtype)
    if allowed is not None:
        # Already 0 in every row that may attend anywhere; a fully masked row becomes zero here.
        weights = weights.masked_fill(~allowed, 0.0)
    weights = F.dropout(weights, dropout_p)
    return weights @ value, weights if need_weights else None


def sdpa(
    query: Float[Tensor, "B H S K"],
    key: Float[Tensor, "B H S K"],
    value: Float[Tensor, "B H S K"],
    mask: Shaped[Tensor, "#B #H #S #S"] | None = None,
    *,
    scale: float | None = None,
    dropout_p: float = 0.0,
    need_weights: bool = False,
) -> tuple[Float[Tensor, "B H S K"], None]:
    """PyTorch's fused scaled_dot_product_attention; it has no weights to show.

    Raises:
        ValueError: `need_weights` is asked for.
    """
    if need_weights:
        raise ValueError(NO_WEIGHTS.format("sdpa"))
    if mask is None:
        return F.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout_p, scale=scale
        ), None
    allowed = mask if mask.dtype == torch.bool else mask > -torch.inf
    empty = ~allowed.any(-1, keepdim=True)
    if values_are_visible(empty) and not empty.any():
        context = F.scaled_dot_product_attention(query, key, value, mask, dropout_p, scale=scale)
        return context, None
    # What PyTorch makes of a fully masked row differs between its kernels and versions. So let such
    # a row attend to everything, then zero what comes out: no NaN can arise in either direction.
    mask = mask | empty if mask.dtype == torch.bool else mask.masked_fill(empty, 0.0)
    context = F.scaled_dot_product_attention(query, key, value, mask, dropout_p, scale=scale)
    return context.masked_fill(empty, 0.0), None


def _one_by_one(padded: Padded) -> Packed:
    """The packed form of a padded implementation: sequence by sequence, in a Python loop.

    The loop needs the lengths as numbers. `torch.compile` looks at them between two graphs;
    `torch.export` can't, and neither can `fullgraph=True`, which code has no way to tell apart.
    """

    def packed(
        query: Float[Tensor, "N H K"],
        key: Float[Tensor, "N H K"],
        value: Float[Tensor, "N H K"],
        cu_seqlens: Int[Tensor, " ends"],
        max_seqlen: int,
        *,
        scale: float | None = None,
        dropout_p: float = 0.0,
    ) -> Float[Tensor, "N H K"]:
        if torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling():
            raise ValueError(
                "a packed batch (cu_seqlens) can't be exported with this implementation, which "
                "goes sequence by sequence: export a padded batch, or call "
                'model.set_attn_implementation("triton") first'
            )
        lengths = cu_seqlens.diff().tolist()
        # (n, H, K) -> (1, H, n, K) for each sequence, and back.
        split = [x.transpose(0, 1)[None].split(lengths, dim=2) for x in (query, key, value)]
        contexts = [
            padded(q, k, v, scale=scale, dropout_p=dropout_p)[0]
            for q, k, v in zip(*split, strict=True)
        ]
        if not contexts:
            return torch.zeros_like(query)
        return torch.cat(contexts, dim=2)[0].transpose(0, 1)

    return packed


NAMES = ("eager", "sdpa", "triton", "flash_attention_2")
# The implementations loaded so far. Triton and flash-attn are imported when first asked for.
IMPLEMENTATIONS = {
    "eager": AttentionImpl(eager, _one_by_one(eager)),
    "sdpa": AttentionImpl(sdpa, _one_by_one(sdpa)),
}


def key_mask_of(name: str, query: Tensor, mask: Tensor | None) -> Bool[Tensor, "B S"] | None:
    """The keys that count, from a mask (B, 1, 1, S), for an implementation with no other masks.

    Raises:
        ValueError: The mask differs from query to query or from head to head, or is additive.
    """
    if mask is None:
        return None
    if mask.dtype != torch.bool or mask.shape[1:3] != (1, 1):
        raise ValueError(
            f"the attention implementation {name!r} takes a mask over keys only, boolean "
            f"(B, 1, 1, S), as a 2-D attention_mask gives; this one is {mask.dtype} of shape "
            f'{tuple(mask.shape)}: call model.set_attn_implementation("sdpa") for it'
        )
    return mask[:, 0, 0].expand(query.shape[0], query.shape[2])


def resolve_attention(implementation: Any) -> AttentionImpl:
    """Turn what a user calls an implementation into an `AttentionImpl`.

    Args:
        implementation: One of `NAMES`, an `AttentionImpl`, or a callable with the
            signature of `AttentionImpl.padded`, which then has no packed form.

    Raises:
        ValueError: An unknown name, or "triton" where Triton is not installed.
        TypeError: Neither a name, nor a callable, nor an `AttentionImpl`.
    """
    if isinstance(implementation, AttentionImpl):
        return implementation
    if isinstance(implementation, str):
        if implementation not in IMPLEMENTATIONS:
            IMPLEMENTATIONS[implementation] = _load(implementation)
        return IMPLEMENTATIONS[implementation]
    if callable(implementation):
        return AttentionImpl(implementation)
    raise TypeError(f"attn_implementation must be a name or a callable, not {implementation!r}")


def _load(name: str) -> AttentionImpl:
    if name == "triton":
        if find_spec("triton") is None:
            raise ValueError(
                'attn_implementation="triton" needs Triton: pip install triton (Linux only)'
            )
        from minidistil.ops.triton_attention import TRITON

        return TRITON
    if name == "flash_attention_2":
        from minidistil.ops.flash_attention import FLASH_ATTENTION_2

        return FLASH_ATTENTION_2
    raise ValueError(
        f"unknown attention implementation {name!r}; known: {', '.join(NAMES)}, a callable, or "
        "an ops.AttentionImpl"
    )
