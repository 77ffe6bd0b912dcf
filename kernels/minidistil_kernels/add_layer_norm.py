r"""Residual addition and LayerNorm in one pass: the second kernel to read.

    t = x + residual        xhat = (t - mean t) / sqrt(var t + eps)        y = w * xhat + b

    with g = w * dy, means over the D elements of the row, sums over the rows:
    dt = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(var t + eps)
    dx = dresidual = dt        dw = sum dy * xhat        db = sum dy

Grid: forward, one program a row. Backward, min(R, `PARTIALS`) programs, and number p owns the rows
    p, p + PARTIALS, ...: dw and db sum over rows, so each program sums its own in registers, stores
    one partial sum, and PyTorch adds those up. Atomic additions would need no second step, but they
    arrive in any order, and rounding would then differ from run to run.
Bytes, for R rows of D elements of e bytes, and P = min(R, PARTIALS):
    forward: reads 2*R*D*e + 2*D*e, writes R*D*e; the lower bound.
    backward: reads 3*R*D*e + D*e, writes R*D*e + 8*P*D; adding up reads 8*P*D and writes 2*D*e.
    Requested is more, because a program can't know that its neighbour has w and b: 2*R*D*e instead
    of 2*D*e forward, P*D*e instead of D*e backward. Those come from the cache.
    Unfused, the forward moves 5*R*D*e: the sum is written and read back.
Saved for the backward: x and residual, no statistics. The backward has the whole row in registers,
    so mean and variance cost it no bytes. To store t instead moves as many: one write more forward,
    one read less backward, and t rounded to half precision. To rebuild xhat = (y - b) / w would
    move the least, but not where w is 0.

Source: Ba et al. 2016, arXiv 1607.06450; the post-LN residual is Vaswani et al. 2017, section 3.1.
Not here: rows longer than `MAX_D`, which need a loop; dropout before the addition.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from minidistil_kernels.inputs import (
    as_rows,
    check_floats,
    check_rows,
    check_shape,
    on_device_of_first,
)
from minidistil_kernels.softmax import row_warps

MAX_D = 8192  # elements of a row that the backward can hold, six times over, in registers
PARTIALS = 256  # programs of the backward: two for each multiprocessor of a large GPU (108 to 132)


@triton.jit
def normalise(t, keep, D, eps):
    """One row: xhat, 0 outside `keep`, and 1 / sqrt(var + eps)."""
    t = tl.where(keep, t, 0.0)
    deviation = tl.where(keep, t - tl.sum(t, 0) / D, 0.0)
    # That mean is rounded to the size of the row's terms. Far from 0 its error is as large as the
    # deviations that count. They are small, so their own mean, which is that error, is exact. It is
    # taken off them, not added to the mean: that would be rounded to the same size again.
    deviation = tl.where(keep, deviation - tl.sum(deviation, 0) / D, 0.0)
    rstd = tl.rsqrt(tl.sum(deviation * deviation, 0) / D + eps)
    return deviation * rstd, rstd


@triton.jit
def normalise_backward(xhat, rstd, g, D):
    """One row: dt, from g = w * dy."""
    return (g - tl.sum(g, 0) / D - xhat * (tl.sum(g * xhat, 0) / D)) * rstd


@triton.jit
def add_layer_norm_forward_kernel(
    x_ptr, residual_ptr, weight_ptr, bias_ptr, y_ptr, stride_x, stride_residual, D, eps,
    BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One row: y = w * xhat + b."""
    row = tl.program_id(0).to(tl.int64)
    offs_d = tl.arange(0, BLOCK_D)
    keep = offs_d < D
    x = tl.load(x_ptr + row * stride_x + offs_d, mask=keep).to(tl.float32)
    residual = tl.load(residual_ptr + row * stride_residual + offs_d, mask=keep)
    xhat, _ = normalise(x + residual.to(tl.float32), keep, D, eps)
    weight = tl.load(weight_ptr + offs_d, mask=keep).to(tl.float32)
    bias = tl.load(bias_ptr + offs_d, mask=keep).to(tl.float32)
    y = weight * xhat + bias
    tl.store(y_ptr + row * D + offs_d, y.to(y_ptr.dtype.element_ty), mask=keep)


@triton.jit
def add_layer_norm_backward_kernel(
    x_ptr, residual_ptr, weight_ptr, dy_ptr, dx_ptr, partial_ptr,
    stride_x, stride_residual, R, D, eps, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Every P-th row: dx. Their partial sums: dw in partial[0, program], db in partial[1, program].

    dy and dx are contiguous.
    """
    program = tl.program_id(0).to(tl.int64)
    programs = tl.num_programs(0)
    offs_d = tl.arange(0, BLOCK_D)
    keep = offs_d < D
    weight = tl.load(weight_ptr + offs_d, mask=keep, other=0.0).to(tl.float32)
    dweight = tl.zeros([BLOCK_D], tl.float32)
    dbias = tl.zeros([BLOCK_D], tl.float32)
    for row in range(program, R, programs):
        x = tl.load(x_ptr + row * stride_x + offs_d, mask=keep).to(tl.float32)
        residual = tl.load(residual_ptr + row * stride_residual + offs_d, mask=keep)
        dy = tl.load(dy_ptr + row * D + offs_d, mask=keep, other=0.0).to(tl.float32)
        xhat, rstd = normalise(x + residual.to(tl.float32), keep, D, eps)
        dx = normalise_backward(xhat, rstd, weight * dy, D)
        tl.store(dx_ptr + row * D + offs_d, dx.to(dx_ptr.dtype.element_ty), mask=keep)
        dweight += dy * xhat
        dbias += dy
    tl.store(partial_ptr + program * D + offs_d, dweight, mask=keep)
    tl.store(partial_ptr + (programs + program) * D + offs_d, dbias, mask=keep)


def add_layer_norm(
    x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-12
) -> Tensor:
    """LayerNorm(x + residual) over the last axis.

    Args:
        x: (..., D), float32, float16 or bfloat16; the last axis has stride 1.
        residual: Shape and dtype of `x`.
        weight: (D,), the scale.
        bias: (D,), the shift.
        eps: Added to the variance; 0 or more.

    Returns:
        (..., D) in the dtype of `x`; the sum, its statistics and the gradients of `weight` and
        `bias` accumulate in float32.

    Raises:
        ValueError: A dtype, device, stride or shape the kernel does not serve, D > `MAX_D`, or
            eps < 0.

    Examples:
        >>> import torch
        >>> x, residual = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]])
        >>> add_layer_norm(x, residual, weight=torch.ones(2), bias=torch.zeros(2))
        tensor([[-1.,  1.]])
    """
    op = "add_layer_norm"
    check_floats(op, x=x, residual=residual, weight=weight, bias=bias)
    check_norm(op, "x", x, eps)
    check_shape(op, "residual", residual, x.shape)
    check_shape(op, "weight", weight, x.shape[-1:])
    check_shape(op, "bias", bias, x.shape[-1:])
    check_rows(op, x=x, residual=residual, weight=weight, bias=bias)
    return _add_layer_norm(x, residual, weight, bias, eps)


def check_norm(op: str, name: str, x: Tensor, eps: float) -> None:
    """Check that one program can hold a row of `x`, and that a variance plus `eps` has a root.

    Raises:
        ValueError: No axis, a last axis longer than `MAX_D`, or an `eps` that is below 0 or NaN.
    """
    if x.ndim == 0 or x.shape[-1] > MAX_D:
        raise ValueError(
            f"{op}: {name} has shape {tuple(x.shape)}; rows have at most {MAX_D} elements, longer "
            "ones need torch.nn.functional.layer_norm"
        )
    if not eps >= 0:
        raise ValueError(f"{op}: eps is {eps}, expected 0 or more")


@torch.library.custom_op("minidistil::add_layer_norm", mutates_args=())
@on_device_of_first
def _add_layer_norm(
    x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> Tensor:
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, residual_rows = as_rows(x), as_rows(residual)
    if x.numel():
        add_layer_norm_forward_kernel[(len(rows),)](
            rows, residual_rows, weight, bias, y, rows.stride(0), residual_rows.stride(0),
            x.shape[-1], eps, **row_block(x.shape[-1]),
        )  # fmt: skip
    return y


@torch.library.custom_op("minidistil::add_layer_norm_backward", mutates_args=())
@on_device_of_first
def _add_layer_norm_backward(
    x: Tensor, residual: Tensor, weight: Tensor, dy: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    rows, residual_rows, D = as_rows(x), as_rows(residual), x.shape[-1]
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    programs = min(len(rows), PARTIALS)
    partial = x.new_empty((2, programs, D), dtype=torch.float32)
    if x.numel():
        add_layer_norm_backward_kernel[(programs,)](
            rows, residual_rows, weight, dy.contiguous(), dx, partial,
            rows.stride(0), residual_rows.stride(0), len(rows), D, eps, **row_block(D),
        )  # fmt: skip
    dweight, dbias = partial
    return dx, dweight.sum(0).to(weight.dtype), dbias.sum(0).to(weight.dtype)


def row_block(D: int) -> dict[str, int]:
    """The block of a row of `D` elements, and its warps."""
    block = triton.next_power_of_2(D)
    return {"BLOCK_D": block, "num_warps": row_warps(block)}


@_add_layer_norm.register_fake
def _(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@_add_layer_norm_backward.register_fake
def _(
    x: Tensor, residual: Tensor, weight: Tensor, dy: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    return dx, torch.empty_like(weight), torch.empty_like(weight)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, residual, weight, _, ctx.eps = inputs
    ctx.save_for_backward(x, residual, weight)


def _differentiate(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    dx, dweight, dbias = _add_layer_norm_backward(*ctx.saved_tensors, dy, ctx.eps)
    return dx, dx, dweight, dbias, None


_add_layer_norm.register_autograd(_differentiate, setup_context=_save)
