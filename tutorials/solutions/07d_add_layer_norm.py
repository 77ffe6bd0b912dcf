"""Residual and LayerNorm in one kernel.

With t = x + residual, one row of D numbers at a time,

    y_i = weight_i * (t_i - mean) / sqrt(variance + eps) + bias_i
    mean = sum_i t_i / D        variance = sum_i (t_i - mean)^2 / D

In PyTorch the sum t is written to memory and read again. Here a program holds the row, and x and
residual are loaded once.

The trap: a tile has BLOCK lanes, of which D are inside. Lanes that hold 0 do no harm to the mean,
but once the mean is taken off they hold -mean, and its square must not enter the variance. And the
statistics are float32 also where x is float16, in which a sum can be no larger than 65504.

Shapes: x and residual (M, D), weight and bias (D,), all contiguous, all float32 or all float16,
D >= 1; the result is as x.
Source: Ba et al. 2016, arXiv 1607.06450; kernels/minidistil_kernels/add_layer_norm.py.
Needs Triton. Without a GPU it runs in Triton's interpreter.
"""

import torch
import triton
import triton.language as tl


@triton.jit
def add_layer_norm_kernel(
    x_ptr, residual_ptr, weight_ptr, bias_ptr, y_ptr, D, eps, BLOCK: tl.constexpr
):
    """Program i turns row i of x and of residual into row i of y."""
    row = tl.program_id(0)
    offs = tl.arange(0, BLOCK)
    inside = offs < D
    weight = tl.load(weight_ptr + offs, mask=inside).to(tl.float32)
    bias = tl.load(bias_ptr + offs, mask=inside).to(tl.float32)
    # answer
    x = tl.load(x_ptr + row * D + offs, mask=inside, other=0.0).to(tl.float32)
    residual = tl.load(residual_ptr + row * D + offs, mask=inside, other=0.0).to(tl.float32)
    total = x + residual
    deviation = tl.where(inside, total - tl.sum(total, 0) / D, 0.0)
    variance = tl.sum(deviation * deviation, 0) / D
    y = weight * deviation * tl.rsqrt(variance + eps) + bias
    # end
    tl.store(y_ptr + row * D + offs, y.to(y_ptr.dtype.element_ty), mask=inside)


def add_layer_norm(
    x: torch.Tensor,
    residual: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float = 1e-12,
) -> torch.Tensor:
    """Launch a program for each row."""
    y = torch.empty_like(x)
    rows, width = x.shape
    block = triton.next_power_of_2(width)
    add_layer_norm_kernel[(rows,)](x, residual, weight, bias, y, width, eps, BLOCK=block)
    return y
