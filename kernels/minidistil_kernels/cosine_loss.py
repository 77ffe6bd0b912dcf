r"""One minus the cosine between the student's and the teacher's vectors, and its gradient.

With rows s (student) and t (teacher) of D numbers, ss = |s|^2 + 1e-12 and tt = |t|^2 + 1e-12:

    loss_n = 1 - s . t / sqrt(ss * tt)
    ds_n   = dloss_n * a * (b * s - t)        a = 1 / sqrt(ss * tt),   b = s . t / ss

b * s is the part of t along s, so the gradient stands at right angles to s (but for the 1e-12):
only the direction is taught, not the length.

Grid: one program a row, D rounded up to a power of two.
Bytes, for C rows that count among N rows of D elements of e bytes: the forward reads 2*C*D*e + N
    and writes 12*N; the backward reads 2*C*D*e + 13*N and writes N*D*e. A masked row is not read.
Saved for the backward: student, teacher, mask, and a and b of each row, float32.

Source: Sanh et al. 2019, arXiv 1910.01108; the 1e-12 is `torch.nn.CosineEmbeddingLoss`'s.
Not here: which hidden states are compared.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from minidistil_kernels.inputs import (
    check_devices,
    check_floats,
    check_rows,
    check_shape,
    on_device_of_first,
)

EPS = tl.constexpr(1e-12)  # added to squared norms: a row of zeros has cosine 0
MAX_D = 16384  # elements of a row; registers hold two of them, forward and backward


@triton.jit
def cosine_forward_kernel(
    student_ptr, teacher_ptr, mask_ptr, losses_ptr, a_ptr, b_ptr, stride_student, stride_teacher, D,
    BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One row: its loss, and a and b; all 0 and nothing read where the mask is False."""
    row = tl.program_id(0).to(tl.int64)
    offs_d = tl.arange(0, BLOCK_D)
    counts = tl.load(mask_ptr + row) != 0
    keep = offs_d < tl.where(counts, D, 0)  # a masked row has no columns to read
    s_ptrs = student_ptr + row * stride_student + offs_d
    t_ptrs = teacher_ptr + row * stride_teacher + offs_d
    s = tl.load(s_ptrs, mask=keep, other=0.0).to(tl.float32)
    t = tl.load(t_ptrs, mask=keep, other=0.0).to(tl.float32)
    dot = tl.sum(s * t, 0)
    ss = tl.sum(s * s, 0) + EPS
    tt = tl.sum(t * t, 0) + EPS
    # Rounded to nearest, not the GPU's fast approximations: 1 - cos of equal rows is 0.
    norms = tl.sqrt_rn(ss * tt)
    tl.store(losses_ptr + row, tl.where(counts, 1 - tl.div_rn(dot, norms), 0.0))
    tl.store(a_ptr + row, tl.where(counts, 1 / norms, 0.0))
    tl.store(b_ptr + row, tl.div_rn(dot, ss))


@triton.jit
def cosine_backward_kernel(
    student_ptr, teacher_ptr, mask_ptr, a_ptr, b_ptr, dlosses_ptr, dstudent_ptr,
    stride_student, stride_teacher, D, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One row: ds = dloss * a * (b * s - t), 0 where the mask is False."""
    row = tl.program_id(0).to(tl.int64)
    offs_d = tl.arange(0, BLOCK_D)
    keep = offs_d < tl.where(tl.load(mask_ptr + row) != 0, D, 0)
    s_ptrs = student_ptr + row * stride_student + offs_d
    t_ptrs = teacher_ptr + row * stride_teacher + offs_d
    s = tl.load(s_ptrs, mask=keep, other=0.0).to(tl.float32)
    t = tl.load(t_ptrs, mask=keep, other=0.0).to(tl.float32)
    slope = tl.load(dlosses_ptr + row) * tl.load(a_ptr + row)
    ds = slope * (tl.load(b_ptr + row) * s - t)
    ds_ptrs = dstudent_ptr + row * D + offs_d
    tl.store(ds_ptrs, ds.to(dstudent_ptr.dtype.element_ty), mask=offs_d < D)


def cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean of 1 - cos(student, teacher) over the rows where `mask` is True.

    Args:
        student: (..., D), float32, float16 or bfloat16; the last axis has stride 1.
        teacher: As `student`; a constant, no gradient reaches it.
        mask: (...), boolean; True counts.

    Returns:
        (), float32; 0 with zero gradient where no row counts.

    Raises:
        ValueError: A dtype, device, stride or shape the kernel does not serve, or D > `MAX_D`.

    Examples:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> cosine_loss(x, -x, mask=torch.tensor([True, False]))
        tensor(2.)
    """
    op = "cosine_loss"
    check_floats(op, student=student, teacher=teacher)
    check_rows(op, student=student, teacher=teacher)
    check_devices(op, student=student, mask=mask)
    check_shape(op, "teacher", teacher, student.shape)
    if student.ndim == 0 or not 1 <= student.shape[-1] <= MAX_D:
        raise ValueError(
            f"{op}: student has shape {tuple(student.shape)}; rows have 1 to {MAX_D} elements"
        )
    check_shape(op, "mask", mask, student.shape[:-1])
    if mask.dtype != torch.bool:
        raise ValueError(f"{op}: mask is {mask.dtype}; pass booleans, True where a row counts")
    losses, _, _ = _cosine_loss(student, teacher.detach(), mask)
    return losses.sum() / mask.sum().clamp(min=1)


@torch.library.custom_op("minidistil::cosine_loss", mutates_args=())
@on_device_of_first
def _cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    D = student.shape[-1]
    s_rows, t_rows = student.reshape(-1, D), teacher.reshape(-1, D)
    losses, a, b = (student.new_empty(len(s_rows), dtype=torch.float32) for _ in range(3))
    if len(s_rows):
        cosine_forward_kernel[(len(s_rows),)](
            s_rows, t_rows, mask.contiguous(), losses, a, b, s_rows.stride(0), t_rows.stride(0), D,
            BLOCK_D=triton.next_power_of_2(D),
        )  # fmt: skip
    return losses, a, b


@torch.library.custom_op("minidistil::cosine_loss_backward", mutates_args=())
@on_device_of_first
def _cosine_loss_backward(
    student: Tensor, teacher: Tensor, mask: Tensor, a: Tensor, b: Tensor, dlosses: Tensor
) -> Tensor:
    D = student.shape[-1]
    dstudent = student.new_empty(student.shape)
    s_rows, t_rows = student.reshape(-1, D), teacher.reshape(-1, D)
    if len(s_rows):
        # The gradient of a mean is one number expanded over the rows: stride 0.
        cosine_backward_kernel[(len(s_rows),)](
            s_rows, t_rows, mask.contiguous(), a, b, dlosses.contiguous(), dstudent,
            s_rows.stride(0), t_rows.stride(0), D, BLOCK_D=triton.next_power_of_2(D),
        )  # fmt: skip
    return dstudent


@_cosine_loss.register_fake
def _(student: Tensor, teacher: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    losses, a, b = (student.new_empty(mask.numel(), dtype=torch.float32) for _ in range(3))
    return losses, a, b


@_cosine_loss_backward.register_fake
def _(
    student: Tensor, teacher: Tensor, mask: Tensor, a: Tensor, b: Tensor, dlosses: Tensor
) -> Tensor:
    return student.new_empty(student.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    _, a, b = output
    ctx.mark_non_differentiable(a, b)
    ctx.save_for_backward(*inputs, a, b)


def _differentiate(ctx: Any, dlosses: Tensor, *_: Tensor) -> tuple[Tensor, None, None]:
    return _cosine_loss_backward(*ctx.saved_tensors, dlosses), None, None


_cosine_loss.register_autograd(_differentiate, setup_context=_save)
