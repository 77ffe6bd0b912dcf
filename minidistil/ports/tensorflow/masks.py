"""Masks: from what users pass to what attention takes; the twin of `minidistil/masks.py`.

A 2-D `attention_mask` says which tokens are real; a 4-D one says which pairs may attend. Both
leave here as a tensor of four dimensions, boolean (True = attend) or to be added to the scores.
"""

import keras
import tensorflow as tf

from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.checks import fits


def attention_mask_for(
    attention_mask: Tensor | None, batch: int | None, length: int | None, heads: int
) -> Tensor | None:
    """Bring a user's mask into the form that attention takes.

    Args:
        attention_mask: (B, S) of int, bool or float, nonzero = a real token; or broadcastable to
            (B, H, S, S), boolean (True = attend) or float (added to the scores; at or below the
            smallest finite number of its dtype means blocked).
        batch: B, or None while it is unknown.
        length: S, or None while it is unknown.
        heads: H.

    Raises:
        ValueError: Another shape or, in four dimensions, an integer mask.
    """
    if attention_mask is None:
        return None
    shape = tuple(attention_mask.shape)
    if len(shape) == 2:
        if not fits(shape, (batch, length)):
            raise ValueError(
                f"attention_mask has shape {shape}, but the input is (batch, length) = "
                f"{(batch, length)}"
            )
        return ops.cast(attention_mask, "bool")[:, None, None, :]
    target = (batch, heads, length, length)
    if len(shape) != 4 or any(
        n != 1 and not fits((n,), (full,)) for n, full in zip(shape, target, strict=True)
    ):
        raise ValueError(
            f"attention_mask has shape {shape}; it must be (batch, length) = {(batch, length)} "
            f"or broadcastable to (batch, heads, length, length) = {target}"
        )
    dtype = keras.backend.standardize_dtype(attention_mask.dtype)
    if dtype == "bool":
        return attention_mask
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            f'a 4-D attention_mask of {dtype} could mean either kind: keras.ops.cast(..., "bool") '
            "(True = attend) or a floating-point mask to be added to the scores"
        )
    blocked = attention_mask <= tf.as_dtype(dtype).min
    return ops.where(blocked, ops.full_like(attention_mask, -float("inf")), attention_mask)


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
    shape = tuple(head_mask.shape)
    if not (fits(shape, (heads,)) or fits(shape, (layers, heads))):
        raise ValueError(
            f"head_mask has shape {shape}; it must be (heads,) = {(heads,)} or "
            f"(layers, heads) = {(layers, heads)}"
        )
    return ops.unstack(ops.broadcast_to(head_mask, (layers, heads)), layers)
