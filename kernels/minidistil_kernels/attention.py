"""Fused attention: the function users call, its custom ops, and the launches of its kernels.

The kernels are in `attention_forward.py` and `attention_backward.py`; this is what surrounds them:
checks, strides, tiles, and how PyTorch differentiates, traces and compiles the result.

Not here: the mathematics, the grid and the bytes (the two kernel files).
"""

from math import e, gcd, inf, log2, sqrt
from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from minidistil_kernels.attention_backward import (
    attention_dkey_dvalue_kernel,
    attention_dquery_kernel,
    backward_tile,
)
from minidistil_kernels.attention_forward import attention_forward_kernel, forward_tile
from minidistil_kernels.inputs import (
    check_devices,
    check_floats,
    check_packing,
    check_rows,
    check_shape,
    on_device_of_first,
    seed_tensor,
)

MIN_K, MAX_K = 16, 128  # head widths: what a matrix product needs, and what registers hold


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None = None,
    *,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    seed: int | Tensor = 0,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """softmax(query key^T * scale) value, every query with every key of its sequence.

    Args:
        query: (B, H, S, K), or packed (N, H, K) with `cu_seqlens`; float32 (computed in IEEE
            float32, never TF32), float16 or bfloat16; K from 16 to 128; any strides but that of the
            last axis, which is 1.
        key: The same shape and dtype.
        value: The same shape and dtype.
        key_mask: Boolean (B, S), True where a key counts. A query of a sequence with none gets
            context 0, lse -inf and gradient 0.
        cu_seqlens: int32 (B+1,): sequence i is rows `cu_seqlens[i] : cu_seqlens[i + 1]`.
        max_seqlen: The longest sequence, or more. None reads it from `cu_seqlens`: give it on a
            GPU, where reading waits, and under `torch.compile` and `torch.export`. Only on the CPU
            in eager mode are it and the values of `cu_seqlens` checked.
        scale: Positive factor of the scores; K ** -0.5 by default.
        dropout_p: The probability of dropping a weight; the rest are divided by 1 - dropout_p.
        seed: In [0, 2**31), or int64 (1,) on the device. A weight's fate depends on the seed, its
            sequence, head, row and column only, so a packed batch drops what a padded one does.
        return_lse: Return (context, lse).

    Returns:
        The context, shape and dtype of `query`, its memory in the order (B, S, H, K); and lse,
        float32 (B, H, S), packed (N, H): log sum_j e^(score_j), no dropout; it has no gradient.

    Raises:
        ValueError: A dtype, device, stride, shape, head width, scale, probability or seed that the
            kernels do not serve; `cu_seqlens` that do not rise from 0 to N; a `max_seqlen` too
            small, or without `cu_seqlens`; `key_mask` together with `cu_seqlens`.

    Examples:
        >>> import torch
        >>> query, key, value = torch.randn(3, 2, 4, 10, 16)  # (B, H, S, K) each
        >>> attention(query, key, value).shape
        torch.Size([2, 4, 10, 16])
        >>> packed = torch.randn(3, 7, 4, 16)  # two sequences of 3 and 4 tokens, (N, H, K) each
        >>> cu_seqlens = torch.tensor([0, 3, 7], dtype=torch.int32)
        >>> attention(*packed, cu_seqlens=cu_seqlens).shape
        torch.Size([7, 4, 16])
    """
    check_floats("attention", query=query, key=key, value=value)
    packed = cu_seqlens is not None
    if packed and key_mask is not None:
        raise ValueError(
            "attention: key_mask and cu_seqlens exclude each other; a packed batch has no padding "
            "to mask"
        )
    if query.ndim != (3 if packed else 4):
        raise ValueError(
            f"attention: query has shape {tuple(query.shape)}, expected "
            f"{'(N, H, K) with' if packed else '(B, H, S, K) without'} cu_seqlens"
        )
    check_shape("attention", "key", key, query.shape)
    check_shape("attention", "value", value, query.shape)
    check_rows("attention", query=query, key=key, value=value)
    width = query.shape[-1]
    if not MIN_K <= width <= MAX_K:
        raise ValueError(
            f"attention: the head width is {width}; the kernels serve {MIN_K} to {MAX_K} "
            "(minidistil_kernels.reference.attention serves any)"
        )
    if cu_seqlens is not None:
        check_devices("attention", query=query, cu_seqlens=cu_seqlens)
        max_seqlen = check_packing("attention", cu_seqlens, max_seqlen, query.shape[0])
        cu_seqlens = cu_seqlens.contiguous()
    elif max_seqlen is not None:
        raise ValueError(f"attention: max_seqlen is {max_seqlen}, but cu_seqlens is None")
    else:
        max_seqlen = query.shape[2]
    if key_mask is not None:
        check_devices("attention", query=query, key_mask=key_mask)
        check_shape("attention", "key_mask", key_mask, (query.shape[0], query.shape[2]))
        if key_mask.dtype != torch.bool:
            raise ValueError(
                f"attention: key_mask is {key_mask.dtype}; pass booleans, True where a key counts"
            )
    scale = 1 / sqrt(width) if scale is None else scale
    if not 0 < scale < inf:
        raise ValueError(
            f"attention: scale is {scale}, expected more than 0; for a negative one negate query"
        )
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"attention: dropout_p is {dropout_p}, expected 0 to 1")
    context, lse = _attention(
        query, key, value, key_mask, cu_seqlens, max_seqlen, scale, dropout_p,
        seed_tensor("attention", seed, query),
    )  # fmt: skip
    return (context, lse) if return_lse else context


@torch.library.custom_op("minidistil::attention", mutates_args=())
@on_device_of_first
def _attention(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, cu_seqlens: Tensor | None,
    max_seqlen: int, scale: float, dropout_p: float, seed: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    context, lse = _empty_outputs(query)
    if query.numel() == 0:
        return context, lse
    packed = cu_seqlens is not None
    K = query.shape[-1]
    tile = forward_tile(query.dtype, K)
    mask = _whole_tiles(key_mask, tile.BLOCK_N)
    unit, strides = _in_units(_strides(packed, query, key, value, context))
    arguments = [
        query, key, value, mask, cu_seqlens, seed, context, lse, *strides,
        0 if mask is None else mask.stride(0), *_strides(packed, lse)[:2],
        scale * log2(e), dropout_p, _upscale(dropout_p), max_seqlen, query.shape[1],
        mask is not None, packed, dropout_p > 0, K, triton.next_power_of_2(K),
        tile.BLOCK_M, tile.BLOCK_N,
    ]  # fmt: skip
    warps = {"num_warps": tile.num_warps, "num_stages": tile.num_stages}
    attention_forward_kernel[_grid(query, cu_seqlens, max_seqlen, tile.BLOCK_M)](
        *arguments, UNIT=unit, **warps
    )
    return context, lse


@torch.library.custom_op("minidistil::attention_backward", mutates_args=())
@on_device_of_first
def _attention_backward(
    dcontext: Tensor, query: Tensor, key: Tensor, value: Tensor, context: Tensor, lse: Tensor,
    key_mask: Tensor | None, cu_seqlens: Tensor | None, max_seqlen: int, scale: float,
    dropout_p: float, seed: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    dquery, dkey, dvalue = _empty_heads(query), _empty_heads(query), _empty_heads(query)
    if query.numel() == 0:
        return dquery, dkey, dvalue
    if dcontext.stride(-1) != 1:  # such as the expanded scalar that a sum sends back
        dcontext = dcontext.contiguous()
    packed = cu_seqlens is not None
    K = query.shape[-1]
    tile = backward_tile(query.dtype, K, dropout_p > 0)
    mask = _whole_tiles(key_mask, tile.BLOCK_N)
    delta = torch.empty_like(lse)
    last = (
        0 if mask is None else mask.stride(0), *_strides(packed, lse)[:2],
        scale, scale * log2(e), dropout_p, _upscale(dropout_p), max_seqlen, query.shape[1],
        mask is not None, packed, dropout_p > 0, K, triton.next_power_of_2(K),
        tile.BLOCK_M, tile.BLOCK_N,
    )  # fmt: skip
    warps = {"num_warps": tile.num_warps, "num_stages": tile.num_stages}
    # In this order: the first kernel writes the delta that the second reads.
    unit, strides = _in_units(_strides(packed, query, key, value, context, dcontext, dquery))
    arguments = [
        query, key, value, mask, cu_seqlens, seed, context, lse, dcontext, delta, dquery,
        *strides, *last,
    ]  # fmt: skip
    attention_dquery_kernel[_grid(query, cu_seqlens, max_seqlen, tile.BLOCK_M)](
        *arguments, UNIT=unit, **warps
    )
    unit, strides = _in_units(_strides(packed, query, key, value, dcontext, dkey, dvalue))
    arguments = [
        query, key, value, mask, cu_seqlens, seed, lse, dcontext, delta, dkey, dvalue,
        *strides, *last,
    ]  # fmt: skip
    attention_dkey_dvalue_kernel[_grid(query, cu_seqlens, max_seqlen, tile.BLOCK_N)](
        *arguments, UNIT=unit, **warps
    )
    return dquery, dkey, dvalue


def _upscale(dropout_p: float) -> float:
    """What surviving weights are multiplied by; where none survives, any number will do."""
    return 1 / (1 - dropout_p) if dropout_p < 1 else 0.0


def _grid(query: Tensor, cu_seqlens: Tensor | None, max_seqlen: int, block: int) -> tuple[int]:
    """One axis: the other two end at 65535 programs, which B * H may pass."""
    sequences = len(query) if cu_seqlens is None else len(cu_seqlens) - 1
    return (triton.cdiv(max_seqlen, block) * sequences * query.shape[1],)


def _strides(packed: bool, *tensors: Tensor) -> list[int]:
    """The strides of batch, head and row of each: (B, H, S, ...), or packed (N, H, ...).

    Raises:
        ValueError: One head spans more elements than the kernels' 32-bit offsets within it reach.
    """
    strides = []
    for x in tensors:
        batch, head, row = (0, x.stride(1), x.stride(0)) if packed else x.stride()[:3]
        rows = x.shape[0] if packed else x.shape[2]
        if rows * row >= 2**31:
            raise ValueError(
                f"attention: {rows} rows of stride {row} span more than 2^31 elements; pass "
                ".contiguous()"
            )
        strides += [batch, head, row]
    return strides


def _in_units(strides: list[int]) -> tuple[int, list[int]]:
    """The unit, such as 8 elements for heads 40 wide, and the strides divided by it.

    1 where all are multiples of 16: Triton sees those by itself.
    """
    unit = gcd(16, *strides) % 16 or 1
    return unit, [stride // unit for stride in strides]


def _whole_tiles(key_mask: Tensor | None, block: int) -> Tensor | None:
    """Padded with False to whole tiles and contiguous: loading it needs no bound and no stride."""
    end = 0 if key_mask is None else -key_mask.shape[1] % block
    return None if key_mask is None else F.pad(key_mask.contiguous(), (0, end))


def _empty_heads(query: Tensor) -> Tensor:
    """Like `query`, in memory (B, S, H, K) or (N, H, K): the model merges its heads by a view."""
    if query.ndim == 3:
        return torch.empty_like(query, memory_format=torch.contiguous_format)
    B, H, S, K = query.shape
    return query.new_empty(B, S, H, K).transpose(1, 2)


def _empty_outputs(query: Tensor) -> tuple[Tensor, Tensor]:
    """The context, and the lse (B, H, S) or (N, H); the lse of neighbouring rows are neighbours."""
    if query.ndim == 3:
        N, H, _ = query.shape
        lse = query.new_empty(H, N, dtype=torch.float32).t()
    else:
        lse = query.new_empty(query.shape[:3], dtype=torch.float32)
    return _empty_heads(query), lse


@_attention.register_fake
def _(query: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return _empty_outputs(query)


@_attention_backward.register_fake
def _(dcontext: Tensor, query: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_heads(query), _empty_heads(query), _empty_heads(query)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, key_mask, cu_seqlens, *ctx.numbers, seed = inputs
    context, lse = output
    ctx.mark_non_differentiable(lse)
    ctx.save_for_backward(query, key, value, context, lse, key_mask, cu_seqlens, seed)


def _differentiate(ctx: Any, dcontext: Tensor, dlse: Tensor) -> tuple[Tensor | None, ...]:
    *saved, seed = ctx.saved_tensors
    return *_attention_backward(dcontext, *saved, *ctx.numbers, seed), *[None] * 6


_attention.register_autograd(_differentiate, setup_context=_save)
