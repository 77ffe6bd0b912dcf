r"""Matrix product with bias and exact GELU as its epilogue: the first kernel with `tl.dot`.

    z = x w^T + b        y = gelu(z) = z Phi(z)        Phi(z) = (1 + erf(z / sqrt 2)) / 2
    dz = dy (Phi(z) + z phi(z))        phi(z) = e^(-z^2 / 2) / sqrt(2 pi)
    dx = dz w        dw = dz^T x        db = sum of dz over the rows

Unfused, the product writes z to memory and GELU reads it back. Here the product's last step still
has its tile of z in registers, in float32, and applies bias and GELU there: the epilogue.

Grid: one program a tile of y, BLOCK_R rows by BLOCK_F columns; it walks along D in steps of
    BLOCK_D. Neighbouring programs share their rows of x, and differ in their rows of w: while the
    cache holds w (4.7 MB for 3072 x 768 in half precision), x passes through it once. Triton's
    tutorial orders tiles in groups, for matrices that the cache can't hold; ours fit.
Bytes, for R rows of D elements to F, of e bytes each, in TR = ceil(R / BLOCK_R) by
    TF = ceil(F / BLOCK_F) tiles:
    forward: requests (TF*R*D + TR*F*D + TR*F)*e, writes R*F*e, and as much again with z.
    The lower bound, every element once, is (R*D + F*D + F + R*F)*e.
    GELU's backward: reads 2*R*F*e, writes R*F*e; the lower bound.
FLOPs: 2*R*F*D forward, and twice that backward.
Saved for the backward: x, w and z. z only where a gradient will be asked for; y can't replace it,
    because two values of z give the same y where y < 0.
Precision: products accumulate in float32, and float32 inputs are multiplied as float32 (IEEE), not
    as TF32, which Triton would choose by itself.

Source: Hendrycks and Gimpel 2016, arXiv 1606.08415, the exact form, not the one with tanh.
Not here: kernels for the products of the backward: they have no epilogue, and PyTorch's serve.
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

# Half precision: three such tiles fit a multiprocessor, so that one's epilogue runs beside the
# others' products. IEEE float32 has no tensor core: each thread multiplies out of its own
# registers, and they hold this tile (128 of them) and no larger one.
HALF_TILE = {"BLOCK_R": 64, "BLOCK_F": 128, "BLOCK_D": 64, "num_warps": 4, "num_stages": 3}
SINGLE_TILE = {"BLOCK_R": 64, "BLOCK_F": 64, "BLOCK_D": 16, "num_warps": 4, "num_stages": 2}
BLOCK_N = 1024  # elements of one program of GELU's backward


@triton.jit
def normal_cdf(z):
    """Phi(z): the chance that a standard normal number is below z."""
    return 0.5 * (1.0 + tl.erf(z * 0.7071067811865476))  # 1 / sqrt(2)


@triton.jit
def linear_gelu_forward_kernel(
    x_ptr, weight_ptr, bias_ptr, y_ptr, z_ptr, stride_x, stride_weight, R, F, D,
    SAVE_Z: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One tile: y = gelu(x @ w.T + b), and z if it will be needed. y and z are contiguous."""
    tiles_f = tl.cdiv(F, BLOCK_F)
    first_r = (tl.program_id(0) // tiles_f).to(tl.int64) * BLOCK_R
    first_f = (tl.program_id(0) % tiles_f).to(tl.int64) * BLOCK_F
    # 64 bits for where the tile begins, 32 for the way inside it: addresses cost registers.
    offs_r = tl.arange(0, BLOCK_R)
    offs_f = tl.arange(0, BLOCK_F)
    offs_d = tl.arange(0, BLOCK_D)
    keep_r = offs_r < R - first_r
    keep_f = offs_f < F - first_f
    # Both tiles are read along D, as they lie in memory; the dot takes w's transposed.
    x_ptrs = x_ptr + first_r * stride_x + (offs_r[:, None] * stride_x + offs_d[None, :])
    weight_ptrs = (
        weight_ptr + first_f * stride_weight + (offs_f[:, None] * stride_weight + offs_d[None, :])
    )
    acc = tl.zeros([BLOCK_R, BLOCK_F], tl.float32)
    for start in range(0, D, BLOCK_D):
        keep_d = offs_d < D - start
        x = tl.load(x_ptrs, mask=keep_r[:, None] & keep_d[None, :], other=0.0)
        weight = tl.load(weight_ptrs, mask=keep_f[:, None] & keep_d[None, :], other=0.0)
        acc = tl.dot(x, tl.trans(weight), acc, input_precision="ieee")
        x_ptrs += BLOCK_D
        weight_ptrs += BLOCK_D
    bias = tl.load(bias_ptr + first_f + offs_f, mask=keep_f, other=0.0).to(tl.float32)
    z = acc + bias[None, :]
    y = z * normal_cdf(z)
    first = first_r * F + first_f
    offs = offs_r[:, None] * F + offs_f[None, :]
    keep = keep_r[:, None] & keep_f[None, :]
    tl.store(y_ptr + first + offs, y.to(y_ptr.dtype.element_ty), mask=keep)
    if SAVE_Z:
        tl.store(z_ptr + first + offs, z.to(z_ptr.dtype.element_ty), mask=keep)


@triton.jit
def gelu_backward_kernel(z_ptr, dy_ptr, dz_ptr, N, BLOCK_N: tl.constexpr):
    """BLOCK_N of N elements: dz = dy * (Phi(z) + z * phi(z))."""
    offs_n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    keep = offs_n < N
    z = tl.load(z_ptr + offs_n, mask=keep, other=0.0).to(tl.float32)
    dy = tl.load(dy_ptr + offs_n, mask=keep, other=0.0).to(tl.float32)
    density = 0.3989422804014327 * tl.exp(-0.5 * z * z)  # 1 / sqrt(2 pi)
    dz = dy * (normal_cdf(z) + z * density)
    tl.store(dz_ptr + offs_n, dz.to(dz_ptr.dtype.element_ty), mask=keep)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """gelu(x @ weight.T + bias), exact GELU: the first half of a feed-forward block.

    Args:
        x: (..., D), float32, float16 or bfloat16; the last axis has stride 1.
        weight: (F, D), as in `torch.nn.Linear`; the last axis has stride 1.
        bias: (F,).

    Returns:
        (..., F) in the dtype of `x`; products accumulate in float32.

    Raises:
        ValueError: A dtype, device, stride or shape the kernel does not serve.

    Examples:
        >>> import torch
        >>> linear_gelu(torch.zeros(3, 16), torch.ones(32, 16), torch.full((32,), 10.0))[0, 0]
        tensor(10.)
    """
    check_floats("linear_gelu", x=x, weight=weight, bias=bias)
    if x.ndim == 0 or weight.ndim != 2 or weight.shape[1] != x.shape[-1]:
        raise ValueError(
            f"linear_gelu: x has shape {tuple(x.shape)} and weight {tuple(weight.shape)}, expected "
            "(..., D) and (F, D)"
        )
    check_shape("linear_gelu", "bias", bias, weight.shape[:1])
    check_rows("linear_gelu", x=x, weight=weight, bias=bias)
    inputs = (x, weight, bias)
    save_z = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    return _linear_gelu(*inputs, save_z)[0]


@torch.library.custom_op("minidistil::linear_gelu", mutates_args=())
@on_device_of_first
def _linear_gelu(x: Tensor, weight: Tensor, bias: Tensor, save_z: bool) -> tuple[Tensor, Tensor]:
    """(y, z): z is empty without `save_z`. An operator can't know if a gradient will be wanted."""
    y, z = _outputs(x, weight, save_z)
    rows, (F, D) = as_rows(x), weight.shape
    tile = SINGLE_TILE if x.dtype == torch.float32 else HALF_TILE
    if y.numel():
        _check_reach("x", rows, tile["BLOCK_R"])
        _check_reach("weight", weight, tile["BLOCK_F"])
        tiles = triton.cdiv(len(rows), tile["BLOCK_R"]) * triton.cdiv(F, tile["BLOCK_F"])
        linear_gelu_forward_kernel[(tiles,)](
            rows, weight, bias, y, z, rows.stride(0), weight.stride(0), len(rows), F, D,
            SAVE_Z=save_z, **tile,
        )  # fmt: skip
    return y, z


@torch.library.custom_op("minidistil::linear_gelu_backward", mutates_args=())
@on_device_of_first
def _linear_gelu_backward(
    x: Tensor, weight: Tensor, z: Tensor, dy: Tensor, needs: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """dx, dw and db, empty where `needs` says that nobody asks.

    One operator, products included: PyTorch would differentiate those a second time, and the kernel
    not, and half of a second derivative is no error that anyone sees.
    """
    dz = torch.empty_like(z)
    if z.numel():
        gelu_backward_kernel[(triton.cdiv(z.numel(), BLOCK_N),)](
            z, dy.contiguous(), dz, z.numel(), BLOCK_N=BLOCK_N
        )
    dx, dweight, dbias = _gradients(x, weight, needs)
    with torch.autocast(x.device.type, enabled=False):  # the dtype of the inputs counts
        if needs[0]:
            dx = dz @ weight
        if needs[1]:
            dweight = torch.einsum("...f,...d->fd", dz, x)
    if needs[2]:
        dbias = dz.sum_to_size(dz.shape[-1])
    return dx, dweight, dbias


def _check_reach(name: str, rows: Tensor, block: int) -> None:
    """Check that the kernel's 32-bit offsets reach from the first row of a tile to its last.

    Raises:
        ValueError: The rows of one tile span more; names the stride.
    """
    in_tile = min(len(rows), block)
    if in_tile * rows.stride(0) >= 2**31:
        raise ValueError(
            f"linear_gelu: {in_tile} rows of {name} of stride {rows.stride(0)} span 2^31 elements "
            f"or more; pass {name}.contiguous()"
        )


def _outputs(x: Tensor, weight: Tensor, save_z: bool) -> tuple[Tensor, Tensor]:
    y = x.new_empty((*x.shape[:-1], weight.shape[0]))
    return y, torch.empty_like(y) if save_z else x.new_empty(0)


@_linear_gelu.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, save_z: bool) -> tuple[Tensor, Tensor]:
    return _outputs(x, weight, save_z)


def _gradients(x: Tensor, weight: Tensor, needs: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    shapes = (x.shape, weight.shape, weight.shape[:1])
    dx, dweight, dbias = (x.new_empty(s if n else 0) for s, n in zip(shapes, needs, strict=True))
    return dx, dweight, dbias


@_linear_gelu_backward.register_fake
def _(
    x: Tensor, weight: Tensor, z: Tensor, dy: Tensor, needs: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    return _gradients(x, weight, needs)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, weight, _, _ = inputs
    z = output[1]
    ctx.mark_non_differentiable(z)
    ctx.save_for_backward(x, weight, z)


def _differentiate(ctx: Any, dy: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    needs = list(ctx.needs_input_grad[:3])
    gradients = _linear_gelu_backward(*ctx.saved_tensors, dy, needs)
    return *(g if n else None for g, n in zip(gradients, needs, strict=True)), None


_linear_gelu.register_autograd(_differentiate, setup_context=_save)
