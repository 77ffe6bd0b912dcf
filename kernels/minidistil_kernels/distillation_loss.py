r"""DistilBERT's loss on logits, and its gradient: each logit read once forward, once backward.

With rows s (student) and t (teacher) of V logits, p = softmax(t / T) and q = softmax(s / T):

    kl      = sum_i p_i (log p_i - log q_i)               mlm = cross_entropy(s, label)
    total   = alpha_ce * T^2 / N * sum_n kl_n + alpha_mlm / count * sum_n mlm_n
    dtotal / ds_n = alpha_ce * T / N * (q - p) + alpha_mlm / count * (softmax(s) - onehot)

One power of T is gone from the gradient because dq / ds brings a 1 / T along; the other makes up
for q - p itself being about 1 / T as large as at T = 1, so that both terms stay comparable.

Plain PyTorch stores log p, log q, log softmax(s) and the products. One online pass needs six
numbers (`cross_entropy.py` explains l): the maxima m_s, m_t, the sums

    l_s = sum e^((s_i - m_s) / T)    l_t = sum e^((t_i - m_t) / T)    l_1 = sum e^(s_i - m_s)

and the cross term, so that kl = gap / (l_t T) + log(l_s / l_t):

    gap = sum_i e_i ((t_i - m_t) - (s_i - m_s))                       e_i = e^((t_i - m_t) / T)

When the maxima grow, the weights e_i shrink by r = e^((m_t - m_t_new) / T) and every bracket moves
by d = (m_t - m_t_new) - (m_s - m_s_new): gap <- r * (gap + l_t * d). Only differences from the
maxima enter, so logits of 10,000 cost no digits; where p_i is 0, its term is 0, even if s_i is
-inf.

Grid: the forward has one program a row, the backward one for each row and tile of BLOCK_V.
Bytes, for N rows of V logits of e bytes, t = ceil(V / BLOCK_V), L labels that are not -100: the
    forward reads 2*N*V*e + 8*N + L*e and writes 28*N; the backward reads 2*N*V*e + 36*N*t and
    writes N*V*e. Without labels: 2*N*V*e and 20*N; 2*N*V*e + 20*N*t and N*V*e.
Saved for the backward: both logits, labels, and m_s, log l_s, m_t, log l_t, log l_1 of each row.
Alignment: as in `cross_entropy.py`: 32-bit accesses at V = 30,522 in half precision.

Source: Hinton et al. 2015, arXiv 1503.02531 (T^2); Sanh et al. 2019, arXiv 1910.01108.
Not here: which rows count. The caller leaves out padding, as `labels` of -100 do for the mlm.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from minidistil_kernels.cross_entropy import START, check_labels, check_logits, mean_of_counted
from minidistil_kernels.inputs import (
    check_devices,
    check_floats,
    check_rows,
    check_shape,
    on_device_of_first,
)

IGNORE_INDEX = tl.constexpr(-100)
MAX_BLOCK_V = 2048  # half of cross_entropy's: two rows are held


@triton.jit
def distillation_forward_kernel(
    student_ptr, teacher_ptr, labels_ptr, kl_ptr, mlm_ptr, stats_ptr, N, inverse_T,
    stride_student: tl.constexpr, stride_teacher: tl.constexpr,
    V: tl.constexpr, HAS_LABELS: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """One row: kl, mlm, and the statistics the backward needs."""
    row = tl.program_id(0).to(tl.int64)
    m_s = START + 0.0
    m_t = START + 0.0
    l_s = 0.0
    l_t = 0.0
    l_1 = 0.0
    gap = 0.0
    for start in range(0, V, BLOCK_V):
        offs_v = start + tl.arange(0, BLOCK_V)
        keep = offs_v < V
        s_ptrs = student_ptr + row * stride_student + offs_v
        t_ptrs = teacher_ptr + row * stride_teacher + offs_v
        s = tl.load(s_ptrs, mask=keep, other=float("-inf")).to(tl.float32)
        t = tl.load(t_ptrs, mask=keep, other=float("-inf")).to(tl.float32)
        m_s_new = tl.maximum(m_s, tl.max(s, 0))
        m_t_new = tl.maximum(m_t, tl.max(t, 0))
        s -= m_s_new
        t -= m_t_new
        e = tl.exp(t * inverse_T)
        r = tl.exp((m_t - m_t_new) * inverse_T)
        moved = (m_t - m_t_new) - (m_s - m_s_new)
        # 0 * -inf and -inf - -inf are NaN: where p is 0, both are replaced before they meet.
        bracket = tl.where(e > 0.0, t, 0.0) - tl.where(e > 0.0, s, 0.0)
        gap = r * (gap + l_t * moved) + tl.sum(e * bracket, 0)
        l_t = r * l_t + tl.sum(e, 0)
        l_s = l_s * tl.exp((m_s - m_s_new) * inverse_T) + tl.sum(tl.exp(s * inverse_T), 0)
        if HAS_LABELS:
            l_1 = l_1 * tl.exp(m_s - m_s_new) + tl.sum(tl.exp(s), 0)
        m_s = m_s_new
        m_t = m_t_new
    # log of a quotient near 1: the two logarithms, about 10 each, would leave ten times the error.
    tl.store(kl_ptr + row, gap / l_t * inverse_T + tl.log(l_s / l_t))
    tl.store(stats_ptr + row, m_s)
    tl.store(stats_ptr + N + row, tl.log(l_s))
    tl.store(stats_ptr + 2 * N + row, m_t)
    tl.store(stats_ptr + 3 * N + row, tl.log(l_t))
    if HAS_LABELS:
        log_l_1 = tl.log(l_1)
        label = tl.load(labels_ptr + row)
        z_ptr = student_ptr + row * stride_student + label
        z = tl.load(z_ptr, mask=(label >= 0) & (label < V), other=float("-inf")).to(tl.float32)
        tl.store(mlm_ptr + row, tl.where(label == IGNORE_INDEX, 0.0, (m_s - z) + log_l_1))
        tl.store(stats_ptr + 4 * N + row, log_l_1)


@triton.jit
def distillation_backward_kernel(
    student_ptr, teacher_ptr, labels_ptr, stats_ptr, dkl_ptr, dmlm_ptr, dstudent_ptr, N, inverse_T,
    stride_student: tl.constexpr, stride_teacher: tl.constexpr,
    V: tl.constexpr, HAS_LABELS: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """One tile of one row: ds = dkl / T * (q - p) + dmlm * (softmax(s) - onehot)."""
    row = tl.program_id(0).to(tl.int64)
    offs_v = tl.program_id(1) * BLOCK_V + tl.arange(0, BLOCK_V)
    keep = offs_v < V
    s_ptrs = student_ptr + row * stride_student + offs_v
    t_ptrs = teacher_ptr + row * stride_teacher + offs_v
    s = tl.load(s_ptrs, mask=keep, other=float("-inf")).to(tl.float32)
    t = tl.load(t_ptrs, mask=keep, other=float("-inf")).to(tl.float32)
    s -= tl.load(stats_ptr + row)
    q = tl.exp(s * inverse_T - tl.load(stats_ptr + N + row))
    t -= tl.load(stats_ptr + 2 * N + row)
    p = tl.exp(t * inverse_T - tl.load(stats_ptr + 3 * N + row))
    ds = tl.load(dkl_ptr + row) * inverse_T * (q - p)
    if HAS_LABELS:
        label = tl.load(labels_ptr + row)
        dmlm = tl.where(label == IGNORE_INDEX, 0.0, tl.load(dmlm_ptr + row))
        q_1 = tl.exp(s - tl.load(stats_ptr + 4 * N + row))
        ds += dmlm * (q_1 - tl.where(offs_v == label, 1.0, 0.0))
    tl.store(dstudent_ptr + row * V + offs_v, ds.to(dstudent_ptr.dtype.element_ty), mask=keep)


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor | None = None,
    *,
    temperature: float = 2.0,
    alpha_ce: float = 5.0,
    alpha_mlm: float = 2.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """DistilBERT's loss on logits: how far the student's distribution is from the teacher's.

    Args:
        student: (N, V), float32, float16 or bfloat16; the last axis has stride 1.
        teacher: As `student`; a constant, no gradient reaches it.
        labels: (N,), int64, each in [0, V) or -100 (ignored); None leaves the mlm term out.
        temperature: T > 0, which softens both distributions.
        alpha_ce: Weight of the distance.
        alpha_mlm: Weight of the student's own cross-entropy.

    Returns:
        (total, ce, mlm), each (), float32: ce is T^2 times the mean of kl. Only total is
        differentiable. 0 with zero gradient where N is 0; mlm is 0 where no label counts.

    Raises:
        ValueError: A dtype, device, stride or shape the kernel does not serve, T <= 0, or, on the
            CPU, a label out of range. On a GPU such a label makes the loss infinite.

    Examples:
        >>> import torch
        >>> student, teacher = torch.zeros(2, 4), torch.zeros(2, 4)
        >>> total, ce, mlm = distillation_loss(student, teacher, torch.tensor([3, -100]))
        >>> ce, mlm  # they agree; the student's own guess costs log 4
        (tensor(0.), tensor(1.3863))
    """
    op = "distillation_loss"
    check_floats(op, student=student, teacher=teacher)
    check_rows(op, student=student, teacher=teacher)
    check_shape(op, "teacher", teacher, student.shape)
    check_logits(op, "student", student)
    if not 0 < temperature < math.inf:
        raise ValueError(f"{op}: temperature is {temperature}, expected more than 0")
    if labels is not None:
        check_devices(op, student=student, labels=labels)
        check_labels(op, labels, student.shape[0], student.shape[1], IGNORE_INDEX.value)
    kl, mlm_rows, _ = _distillation_loss(student, teacher.detach(), labels, float(temperature))
    ce = temperature**2 / max(student.shape[0], 1) * kl.sum()
    mlm = (
        kl.new_zeros(())
        if labels is None
        else mean_of_counted(mlm_rows, labels, IGNORE_INDEX.value)
    )
    return alpha_ce * ce + alpha_mlm * mlm, ce.detach(), mlm.detach()


@torch.library.custom_op("minidistil::distillation_loss", mutates_args=())
@on_device_of_first
def _distillation_loss(
    student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    N, V = student.shape
    kl, mlm, stats = (student.new_zeros(shape, dtype=torch.float32) for shape in (N, N, (5, N)))
    if N:
        distillation_forward_kernel[(N,)](
            student, teacher, None if labels is None else labels.contiguous(), kl, mlm, stats,
            N, 1 / temperature, stride_student=student.stride(0), stride_teacher=teacher.stride(0),
            V=V, HAS_LABELS=labels is not None, BLOCK_V=_block_v(V),
        )  # fmt: skip
    return kl, mlm, stats


@torch.library.custom_op("minidistil::distillation_loss_backward", mutates_args=())
@on_device_of_first
def _distillation_loss_backward(
    student: Tensor, teacher: Tensor, labels: Tensor | None, stats: Tensor,
    dkl: Tensor, dmlm: Tensor, temperature: float,
) -> Tensor:  # fmt: skip
    N, V = student.shape
    dstudent = student.new_empty(N, V)
    if N:
        distillation_backward_kernel[(N, triton.cdiv(V, _block_v(V)))](
            student, teacher, None if labels is None else labels.contiguous(), stats,
            dkl.contiguous(), dmlm.contiguous(), dstudent,
            N, 1 / temperature, stride_student=student.stride(0), stride_teacher=teacher.stride(0),
            V=V, HAS_LABELS=labels is not None, BLOCK_V=_block_v(V),
        )  # fmt: skip
    return dstudent


def _block_v(V: int) -> int:
    return min(triton.next_power_of_2(V), MAX_BLOCK_V)


@_distillation_loss.register_fake
def _(
    student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    N = student.shape[0]
    kl, mlm, stats = (student.new_empty(shape, dtype=torch.float32) for shape in (N, N, (5, N)))
    return kl, mlm, stats


@_distillation_loss_backward.register_fake
def _(
    student: Tensor, teacher: Tensor, labels: Tensor | None, stats: Tensor,
    dkl: Tensor, dmlm: Tensor, temperature: float,
) -> Tensor:  # fmt: skip
    return student.new_empty(student.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels, ctx.temperature = inputs
    ctx.mark_non_differentiable(output[2])
    ctx.save_for_backward(student, teacher, labels, output[2])


def _differentiate(
    ctx: Any, dkl: Tensor, dmlm: Tensor, _: Tensor
) -> tuple[Tensor, None, None, None]:
    student, teacher, labels, stats = ctx.saved_tensors
    dstudent = _distillation_loss_backward(
        student, teacher, labels, stats, dkl, dmlm, ctx.temperature
    )
    return dstudent, None, None, None


_distillation_loss.register_autograd(_differentiate, setup_context=_save)
