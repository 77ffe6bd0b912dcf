"""Masks: from what users pass to what attention takes.

A 2-D `attention_mask` says which tokens are real; a 4-D one says which pairs may attend. Both
leave here as None, a boolean tensor (True = attend), or a floating-point one to be added to the
scores. A key mask stays (B, 1, 1, S): a kernel can then read S numbers instead of S * S.
"""

import torch
from torch import Tensor

from minidistil.checks import values_are_visible


def attention_mask_for(
    attention_mask: Tensor | None, batch: int, length: int, heads: int
) -> Tensor | None:
    """Bring a user's mask into the form of the `ops` contract.

    Args:
        attention_mask: (B, S) of int, bool or float, nonzero = a real token; or broadcastable to
            (B, H, S, S), boolean (True = attend) or float (added to the scores; at or below the
            smallest finite number of its dtype means blocked).
        batch: B.
        length: S.
        heads: H.

    Returns:
        None where a (B, S) mask was seen to block nothing, else the mask in four dimensions.

    Raises:
        ValueError: Another shape or, in four dimensions, an integer mask.
    """
    if attention_mask is None:
        return None
    shape = tuple(attention_mask.shape)
    if attention_mask.dim() == 2:
        if shape != (batch, length):
            raise ValueError(
                f"attention_mask has shape {shape}, but the input is (batch, length) = "
                f"{(batch, length)}"
            )
        allowed = attention_mask != 0
        # Without a mask the fused kernels are faster; on a GPU looking would cost a wait.
        if values_are_visible(allowed) and bool(allowed.all()):
            return None
        return allowed[:, None, None, :]
    target = (batch, heads, length, length)
    if attention_mask.dim() != 4 or any(
        n not in (1, full) for n, full in zip(shape, target, strict=True)
    ):
        raise ValueError(
            f"attention_mask has shape {shape}; it must be (batch, length) = {(batch, length)} "
            f"or broadcastable to (batch, heads, length, length) = {target}"
        )
    if attention_mask.dtype == torch.bool:
        return attention_mask
    if not attention_mask.is_floating_point():
        raise ValueError(
            f"a 4-D attention_mask of {attention_mask.dtype} could mean either kind: pass .bool() "
            "(True = attend) or a floating-point mask to be added to the scores"
        )
    blocked = attention_mask <= torch.finfo(attention_mask.dtype).min
    return attention_mask.masked_fill(blocked, -torch.inf)


def head_masks_for(head_mask: Tensor | None, layers: int, heads: int) -> list[Tensor | None]:
    """Split a head mask into one (H,) tensor a layer.

    Args:
        head_mask: (H,) for all layers or (L, H); each head's context is multiplied by its number.
        layers: L.
        heads: H.

    Raises:
        ValueError: Another shape.
    """
    if head_mask is None:
        return [None] * layers
    if tuple(head_mask.shape) not in ((heads,), (layers, heads)):
        raise ValueError(
            f"head_mask has shape {tuple(head_mask.shape)}; it must be (heads,) = {(heads,)} or "
            f"(layers, heads) = {(layers, heads)}"
        )
    return list(head_mask.expand(layers, heads).unbind(0))
