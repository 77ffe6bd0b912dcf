"""Masks: from what users pass to what attention takes; the twin of `minidistil/masks.py`.

A 2-D `attention_mask` says which tokens are real; a 4-D one says which pairs may attend. Both
leave here as an array of four dimensions, boolean (True = attend) or to be added to the scores.
"""

import jax.numpy as jnp
from jax import Array


def attention_mask_for(
    attention_mask: Array | None, batch: int, length: int, heads: int
) -> Array | None:
    """Bring a user's mask into the form that attention takes.

    Args:
        attention_mask: (B, S) of int, bool or float, nonzero = a real token; or broadcastable to
            (B, H, S, S), boolean (True = attend) or float (added to the scores; at or below the
            smallest finite number of its dtype means blocked).
        batch: B.
        length: S.
        heads: H.

    Raises:
        ValueError: Another shape or, in four dimensions, an integer mask.
    """
    if attention_mask is None:
        return None
    shape = attention_mask.shape
    if len(shape) == 2:
        if shape != (batch, length):
            raise ValueError(
                f"attention_mask has shape {shape}, but the input is (batch, length) = "
                f"{(batch, length)}"
            )
        return (attention_mask != 0)[:, None, None, :]
    target = (batch, heads, length, length)
    if len(shape) != 4 or any(n not in (1, full) for n, full in zip(shape, target, strict=True)):
        raise ValueError(
            f"attention_mask has shape {shape}; it must be (batch, length) = {(batch, length)} "
            f"or broadcastable to (batch, heads, length, length) = {target}"
        )
    if attention_mask.dtype == jnp.bool:
        return attention_mask
    if not jnp.issubdtype(attention_mask.dtype, jnp.floating):
        raise ValueError(
            f"a 4-D attention_mask of {attention_mask.dtype} could mean either kind: pass "
            ".astype(bool) (True = attend) or a floating-point mask to be added to the scores"
        )
    blocked = attention_mask <= jnp.finfo(attention_mask.dtype).min
    return jnp.where(blocked, -jnp.inf, attention_mask)


def head_masks_for(head_mask: Array | None, layers: int, heads: int) -> list[Array | None]:
    """Split a head mask into one (H,) array a layer.

    Args:
        head_mask: (H,) for all layers or (L, H); each head's context is multiplied by its number.
        layers: L.
        heads: H.

    Raises:
        ValueError: Another shape.
    """
    if head_mask is None:
        return [None] * layers
    if head_mask.shape not in ((heads,), (layers, heads)):
        raise ValueError(
            f"head_mask has shape {head_mask.shape}; it must be (heads,) = {(heads,)} or "
            f"(layers, heads) = {(layers, heads)}"
        )
    return list(jnp.broadcast_to(head_mask, (layers, heads)))
