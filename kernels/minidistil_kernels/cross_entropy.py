r"""Cross-entropy of long rows in one pass: the online softmax.

    loss_n  = lse(x_n) - x_n[label_n]     lse(x) = m + log l,  m = max x_i,  l = sum e^(x_i - m)
    dx_n[i] = dloss_n * (e^(x_n[i] - m - log l) - [i = label_n])

30,522 logits are too long a row to hold, and the sum needs the maximum first: two passes. Unless
the sum is mended as the maximum grows. After each tile of the row, m is the maximum so far, and

    l <- l * e^(m - m_new) + sum over the tile of e^(x_i - m_new)

is what the sum would be, had that maximum been known from the start.

Grid: the forward has one program a row, which walks over it in tiles of BLOCK_V; the backward one
    program for each row and tile.
Bytes, for C rows that count among N rows of V logits of e bytes, t = ceil(V / BLOCK_V): the forward
    reads C*(V+1)*e + 8*N and writes 12*N; the backward reads C*V*e + 20*N*t and writes N*V*e. An
    ignored row is not read: in masked-LM training that is about 85 of 100.
Saved for the backward: logits, labels, and per row m and log l, float32. Not their sum lse: at a
    logit of 10,000 float32 has steps of 0.001, which would be the relative error of the gradient.
Alignment: a row of 30,522 float16 is 61,044 bytes, 4 more than a multiple of 16, so rows start at
    any multiple of 4 and a thread can be given 32 bits at once, never 128. V and the stride are
    `tl.constexpr`, so that the compiler sees 30,522 = 2 * 15,261 and takes those 32 (compiled for
    sm_80 and sm_90: all 16 loads of a tile, and 16 stores; float32: 64 bits); as plain integers
    it would take 16. The price is one compilation for each V. A vocabulary padded to 30,528
    (`resize_token_embeddings`) gives 128: 4 loads, 4 stores.

Source: Milakov and Gimelshein 2018, arXiv 1805.02867, algorithm 3.
Not here: the logits' own computation, which `linear_cross_entropy.py` takes in as well.
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

# Where a running maximum starts: the lowest float32, because -inf - -inf is NaN.
START = tl.constexpr(-3.4028234663852886e38)
MAX_BLOCK_V = 4096  # elements of a row a program holds at once


@triton.jit
def cross_entropy_forward_kernel(
    logits_ptr, labels_ptr, losses_ptr, m_ptr, log_l_ptr, ignore_index,
    stride_logits: tl.constexpr, V: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """One row: its loss, and m and log l; 0 and nothing read where it is ignored."""
    row = tl.program_id(0).to(tl.int64)  # 64 bits: 70,358 rows of 30,522 pass 2^31
    label = tl.load(labels_ptr + row)
    m = START + 0.0
    log_l = 0.0
    loss = 0.0
    if label != ignore_index:
        l = 0.0
        for start in range(0, V, BLOCK_V):
            offs_v = start + tl.arange(0, BLOCK_V)
            x_ptrs = logits_ptr + row * stride_logits + offs_v
            x = tl.load(x_ptrs, mask=offs_v < V, other=float("-inf")).to(tl.float32)
            m_new = tl.maximum(m, tl.max(x, 0))
            l = l * tl.exp(m - m_new) + tl.sum(tl.exp(x - m_new), 0)
            m = m_new
        log_l = tl.log(l)
        # A label that is no column has probability 0: on a GPU, where nobody checks, loss inf.
        z_ptr = logits_ptr + row * stride_logits + label
        z = tl.load(z_ptr, mask=(label >= 0) & (label < V), other=float("-inf")).to(tl.float32)
        loss = (m - z) + log_l  # m and z may be huge, their difference is exact or nearly so
    tl.store(losses_ptr + row, loss)
    tl.store(m_ptr + row, m)
    tl.store(log_l_ptr + row, log_l)


@triton.jit
def cross_entropy_backward_kernel(
    logits_ptr, labels_ptr, m_ptr, log_l_ptr, dlosses_ptr, dlogits_ptr, ignore_index,
    stride_logits: tl.constexpr, V: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """One tile of one row: dlogits = dloss * (softmax - onehot), 0 where the row is ignored."""
    row = tl.program_id(0).to(tl.int64)
    offs_v = tl.program_id(1) * BLOCK_V + tl.arange(0, BLOCK_V)
    label = tl.load(labels_ptr + row)
    counts = label != ignore_index
    dloss = tl.where(counts, tl.load(dlosses_ptr + row), 0.0)
    keep = offs_v < tl.where(counts, V, 0)  # an ignored row has no columns to read
    x_ptrs = logits_ptr + row * stride_logits + offs_v
    x = tl.load(x_ptrs, mask=keep, other=float("-inf")).to(tl.float32)
    p = tl.exp((x - tl.load(m_ptr + row)) - tl.load(log_l_ptr + row))
    dx = dloss * (p - tl.where(offs_v == label, 1.0, 0.0))
    tl.store(dlogits_ptr + row * V + offs_v, dx.to(dlogits_ptr.dtype.element_ty), mask=offs_v < V)


def cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = -100) -> Tensor:
    """Mean of -log softmax(logits)[label] over the rows whose label is not `ignore_index`.

    Args:
        logits: (N, V), float32, float16 or bfloat16; the last axis has stride 1.
        labels: (N,), int64, each in [0, V) or `ignore_index`.
        ignore_index: The label of rows that do not count.

    Returns:
        (), float32; 0 with zero gradient where no row counts.

    Raises:
        ValueError: A dtype, device, stride or shape the kernel does not serve, or, on the CPU, a
            label out of range. On a GPU such a label makes the loss infinite.

    Examples:
        >>> import torch
        >>> cross_entropy(torch.zeros(2, 4), torch.tensor([3, -100]))  # log 4
        tensor(1.3863)
    """
    check_floats("cross_entropy", logits=logits)
    check_rows("cross_entropy", logits=logits)
    check_devices("cross_entropy", logits=logits, labels=labels)
    check_logits("cross_entropy", "logits", logits)
    check_labels("cross_entropy", labels, logits.shape[0], logits.shape[1], ignore_index)
    losses, _, _ = _cross_entropy(logits, labels, ignore_index)
    return mean_of_counted(losses, labels, ignore_index)


def check_logits(op: str, name: str, logits: Tensor) -> None:
    """Check that logits are rows of something.

    Raises:
        ValueError: No matrix, or V = 0; names the shape.
    """
    if logits.ndim != 2 or not logits.shape[1]:
        raise ValueError(f"{op}: {name} has shape {tuple(logits.shape)}, expected (N, V), V > 0")


def check_labels(op: str, labels: Tensor, N: int, V: int, ignore_index: int) -> None:
    """Check that there are N labels and that each names one of V columns or is ignored.

    Raises:
        ValueError: Another shape or dtype; on the CPU a label out of range, which it names.
            Elsewhere a look at the values would wait for all the work in flight.
    """
    check_shape(op, "labels", labels, (N,))
    if labels.dtype != torch.int64:
        raise ValueError(f"{op}: labels is {labels.dtype}; convert it by .long()")
    if labels.device.type == "cpu" and not torch.compiler.is_compiling():
        wrong = labels[((labels < 0) | (labels >= V)) & (labels != ignore_index)]
        if len(wrong):
            raise ValueError(
                f"{op}: labels holds {wrong[0].item()}, but V is {V}: pass 0 to {V - 1}, or "
                f"{ignore_index} for a row to ignore"
            )


def mean_of_counted(losses: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """The sum of `losses`, which are 0 where ignored, over how many are not; 0 if none."""
    return losses.sum() / (labels != ignore_index).sum().clamp(min=1)


@torch.library.custom_op("minidistil::cross_entropy", mutates_args=())
@on_device_of_first
def _cross_entropy(
    logits: Tensor, labels: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    N, V = logits.shape
    losses, m, log_l = (logits.new_empty(N, dtype=torch.float32) for _ in range(3))
    if N:
        cross_entropy_forward_kernel[(N,)](
            logits, labels.contiguous(), losses, m, log_l, ignore_index,
            stride_logits=logits.stride(0), V=V, BLOCK_V=block_v(V),
        )  # fmt: skip
    return losses, m, log_l


@torch.library.custom_op("minidistil::cross_entropy_backward", mutates_args=())
@on_device_of_first
def _cross_entropy_backward(
    logits: Tensor, labels: Tensor, m: Tensor, log_l: Tensor, dlosses: Tensor, ignore_index: int
) -> Tensor:
    N, V = logits.shape
    dlogits = logits.new_empty(N, V)
    if N:
        # The gradient of a mean is one number expanded over the rows: stride 0.
        cross_entropy_backward_kernel[(N, triton.cdiv(V, block_v(V)))](
            logits, labels.contiguous(), m, log_l, dlosses.contiguous(), dlogits, ignore_index,
            stride_logits=logits.stride(0), V=V, BLOCK_V=block_v(V),
        )  # fmt: skip
    return dlogits


def block_v(V: int) -> int:
    """How many logits of a row of V one program holds at once."""
    return min(triton.next_power_of_2(V), MAX_BLOCK_V)


@_cross_entropy.register_fake
def _(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    losses, m, log_l = (logits.new_empty(logits.shape[0], dtype=torch.float32) for _ in range(3))
    return losses, m, log_l


@_cross_entropy_backward.register_fake
def _(
    logits: Tensor, labels: Tensor, m: Tensor, log_l: Tensor, dlosses: Tensor, ignore_index: int
) -> Tensor:
    return logits.new_empty(logits.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, labels, ctx.ignore_index = inputs
    _, m, log_l = output
    ctx.mark_non_differentiable(m, log_l)
    ctx.save_for_backward(logits, labels, m, log_l)


def _differentiate(ctx: Any, dlosses: Tensor, *_: Tensor) -> tuple[Tensor, None, None]:
    logits, labels, m, log_l = ctx.saved_tensors
    dlogits = _cross_entropy_backward(logits, labels, m, log_l, dlosses, ctx.ignore_index)
    return dlogits, None, None


_cross_entropy.register_autograd(_differentiate, setup_context=_save)
