r"""Masked softmax of rows: the first kernel to read.

    y_i = m_i e^(x_i - max x) / sum_j m_j e^(x_j - max x)        m_i in {0, 1}
    dx_i = y_i (dy_i - sum_j y_j dy_j)

In plain PyTorch this is five operations, and each of them reads a whole matrix from memory and
writes one back. Here one program holds one row in registers from the first load to the last store.

Grid: one program a row. BLOCK_N, the row's length rounded up to a power of two, is how many lanes
    a program has; lanes past the end load nothing and store nothing.
Bytes, for R rows of N elements of e bytes: the forward reads R*N*e (and R*N for the mask) and
    writes R*N*e; the backward reads 2*R*N*e and writes R*N*e. That is the lower bound: every
    element once. The five operations move 8*R*N*e or more.
Saved for the backward: y. The mask is not: y is 0 where it was False.

Source: Milakov and Gimelshein 2018, arXiv 1805.02867, for what a stable softmax must read.
Not here: rows longer than `MAX_N`, which need a loop (see `cross_entropy.py`).
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from minidistil_kernels.inputs import (
    as_rows,
    check_devices,
    check_floats,
    check_rows,
    on_device_of_first,
)

MAX_N = 16384  # elements of a row; 16 warps hold them in registers, forward and backward


@triton.jit
def softmax_forward_kernel(
    x_ptr, mask_ptr, y_ptr, stride_x, stride_mask, stride_y, N,
    HAS_MASK: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One row: y = softmax(x), 0 where the mask is False."""
    row = tl.program_id(0).to(tl.int64)  # 64 bits: row * stride passes 2^31 in a large matrix
    offs_n = tl.arange(0, BLOCK_N)
    inside = offs_n < N
    x = tl.load(x_ptr + row * stride_x + offs_n, mask=inside, other=float("-inf")).to(tl.float32)
    keep = inside
    if HAS_MASK:
        # Not as the mask of the load above: lanes known only at run time load one by one.
        keep = tl.load(mask_ptr + row * stride_mask + offs_n, mask=inside, other=0) != 0
        x = tl.where(keep, x, float("-inf"))
    e = tl.exp(x - tl.max(x, 0))
    y = e / tl.sum(e, 0)
    if HAS_MASK:
        # A row with nothing left has only -inf, and -inf - -inf is NaN; so is a row with NaN in it.
        y = tl.where(keep, y, 0.0)
    tl.store(y_ptr + row * stride_y + offs_n, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def softmax_backward_kernel(
    y_ptr, dy_ptr, dx_ptr, stride_y, stride_dy, stride_dx, N, BLOCK_N: tl.constexpr
):  # fmt: skip
    """One row: dx = y * (dy - sum(y * dy))."""
    row = tl.program_id(0).to(tl.int64)
    offs_n = tl.arange(0, BLOCK_N)
    inside = offs_n < N
    y = tl.load(y_ptr + row * stride_y + offs_n, mask=inside, other=0.0).to(tl.float32)
    dy = tl.load(dy_ptr + row * stride_dy + offs_n, mask=inside, other=0.0).to(tl.float32)
    dx = y * (dy - tl.sum(y * dy, 0))
    tl.store(dx_ptr + row * stride_dx + offs_n, dx.to(dx_ptr.dtype.element_ty), mask=inside)


def softmax(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax over the last axis of `x`, 0 where `mask` is False.

    Args:
        x: (..., N), float32, float16 or bfloat16; the last axis has stride 1.
        mask: Boolean, broadcastable to `x`; True counts. A row with nothing left gives zeros.

    Returns:
        (..., N) in the dtype of `x`; the exponentials and their sum are float32.

    Raises:
        ValueError: A dtype, device, stride or shape the kernel does not serve, or N > `MAX_N`.

    Examples:
        >>> import torch
        >>> x = torch.tensor([[0.0, 0.0, 9.0]])
        >>> softmax(x, mask=torch.tensor([[True, True, False]]))
        tensor([[0.5000, 0.5000, 0.0000]])
    """
    check_floats("softmax", x=x)
    if x.ndim == 0 or x.shape[-1] > MAX_N:
        raise ValueError(
            f"softmax: x has shape {tuple(x.shape)}; rows have at most {MAX_N} elements, longer "
            "ones need torch.softmax"
        )
    check_rows("softmax", x=x)
    if mask is not None:
        check_devices("softmax", x=x, mask=mask)
        if mask.dtype != torch.bool:
            raise ValueError(f"softmax: mask is {mask.dtype}; pass booleans, True where x counts")
        try:
            mask = mask.expand(x.shape)
        except RuntimeError as error:
            raise ValueError(
                f"softmax: mask of shape {tuple(mask.shape)} does not broadcast to x of shape "
                f"{tuple(x.shape)}"
            ) from error
    return _softmax(x, mask)


@torch.library.custom_op("minidistil::softmax", mutates_args=())
@on_device_of_first
def _softmax(x: Tensor, mask: Tensor | None) -> Tensor:
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, y_rows = _rows(x), _rows(y)
    mask_rows = None if mask is None else _rows(mask)
    if x.numel():
        softmax_forward_kernel[(len(rows),)](
            rows, mask_rows, y_rows,
            rows.stride(0), 0 if mask_rows is None else mask_rows.stride(0), y_rows.stride(0),
            rows.shape[1],
            HAS_MASK=mask is not None, **_block(rows.shape[1]),
        )  # fmt: skip
    return y


@torch.library.custom_op("minidistil::softmax_backward", mutates_args=())
@on_device_of_first
def _softmax_backward(y: Tensor, dy: Tensor) -> Tensor:
    dx = torch.empty_like(y)
    rows, dy_rows, dx_rows = _rows(y), _rows(dy), _rows(dx)
    if y.numel():
        softmax_backward_kernel[(len(rows),)](
            rows, dy_rows, dx_rows, rows.stride(0), dy_rows.stride(0), dx_rows.stride(0),
            rows.shape[1], **_block(rows.shape[1]),
        )  # fmt: skip
    return dx


def row_warps(block: int) -> int:
    """So many warps (of 32 threads) for a row that each thread has 8 to 16 elements, at most 16.

    Eight elements of two bytes are the 128 bits that one instruction loads at most.
    """
    return min(max(block // 256, 1), 16)


def _block(N: int) -> dict[str, int]:
    block = triton.next_power_of_2(N)
    return {"BLOCK_N": block, "num_warps": row_warps(block)}


def _rows(x: Tensor) -> Tensor:
    """`as_rows`; a gradient or a broadcast mask may have any strides, and is copied."""
    return as_rows(x if x.stride(-1) == 1 else x.contiguous())


@_softmax.register_fake
def _(x: Tensor, mask: Tensor | None) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@_softmax_backward.register_fake
def _(y: Tensor, dy: Tensor) -> Tensor:
    return torch.empty_like(y)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(output)


def _differentiate(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
    (y,) = ctx.saved_tensors
    return _softmax_backward(y, dy), None


_softmax.register_autograd(_differentiate, setup_context=_save)
