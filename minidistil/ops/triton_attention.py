"""Attention by the Triton kernel of `minidistil_kernels`: O(S) memory, forward and backward.

Runs on CUDA, and on the CPU in Triton's interpreter, which is for reading and testing.

Not here: the kernel (`kernels/minidistil_kernels/attention.py`).
"""

from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from minidistil.ops.attention import key_mask_of
from minidistil.ops.contract import NO_WEIGHTS, AttentionImpl
from minidistil_kernels.attention import attention


def padded(
    query: Float[Tensor, "B H S K"],
    key: Float[Tensor, "B H S K"],
    value: Float[Tensor, "B H S K"],
    mask: Shaped[Tensor, "#B #H #S #S"] | None = None,
    *,
    scale: float | None = None,
    dropout_p: float = 0.0,
    need_weights: bool = False,
) -> tuple[Float[Tensor, "B H S K"], None]:
    """Attention on a padded batch, with a key mask or none.

    Raises:
        ValueError: Weights are asked for, the mask differs from query to query or is additive, or
            the kernel serves no tensors of this dtype or on this device.
    """
    if need_weights:
        raise ValueError(NO_WEIGHTS.format("triton"))
    context = _attend(
        query,
        key,
        value,
        key_mask_of("triton", query, mask),
        scale=scale,
        dropout_p=dropout_p,
    )
    return context, None


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
    """Attention on a packed batch, in one launch, without padding."""
    return _attend(
        query,
        key,
        value,
        cu_seqlens=cu_seqlens,
        max_seqlen=max_seqlen,
        scale=scale,
        dropout_p=dropout_p,
    )


def _attend(query: Tensor, *rest: Any, dropout_p: float, **settings: Any) -> Tensor:
    # A tensor from torch's generator, never read on the host: gradient checkpointing draws it
    # again, and a captured graph draws it anew at each replay.
    seed = torch.randint(0, 2**31, (1,), device=query.device) if dropout_p else 0
    context = attention(query, *rest, dropout_p=dropout_p, seed=seed, **settings)
    assert isinstance(context, Tensor)  # the lse was not asked for
    return context


TRITON = AttentionImpl(padded, packed)
