r"""Word and position embeddings, added and normalised in one pass.

    t = word[token] + position[place]        y = w * xhat(t) + b        (see `add_layer_norm.py`)

    dword[v] = sum of dt over the tokens equal to v, 0 for v = padding_idx
    dposition[p] = sum of dt over the tokens at place p                     (`sum_rows_by_id.py`)

Grid: forward, one program a token. Backward, min(N, `PARTIALS`) programs make dt and the partial
    sums of dw and db, as in `add_layer_norm.py`.
Bytes, for N tokens of D elements of e bytes, tables of V and M rows, P = min(N, PARTIALS), ids of
    i bytes:
    forward: requests 2*N*D*e + 2*N*i, writes N*D*e; w and b as in `add_layer_norm.py`. A row that
    occurs again is requested again; the lower bound reads it once.
    backward, dt: reads 3*N*D*e + 2*N*i + D*e, writes N*D*e + 8*P*D.
Saved for the backward: the ids, both tables and w. The rows are gathered again, not stored.

Source: Devlin et al. 2018, arXiv 1810.04805, section 3.2, less the segment embeddings.
Not here: the gradients of the tables (`sum_rows_by_id.py`); dropout.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from minidistil_kernels.add_layer_norm import (
    PARTIALS,
    check_norm,
    normalise,
    normalise_backward,
    row_block,
)
from minidistil_kernels.inputs import (
    check_devices,
    check_floats,
    check_rows,
    check_shape,
    on_device_of_first,
)
from minidistil_kernels.sum_rows_by_id import sum_rows_by_id


@triton.jit
def gather(table_ptr, ids_ptr, n, stride_table, LENGTH, offs_d, keep):
    """Row ids[n] of a table of LENGTH rows, in float32.

    On a GPU nobody has checked the ids. One that the table does not have gives a row of NaN, which
    shows, and not what lies behind the table, which would not.
    """
    row = tl.load(ids_ptr + n).to(tl.int64)
    known = (row >= 0) & (row < LENGTH)
    row = tl.where(known, row, 0)
    values = tl.load(table_ptr + row * stride_table + offs_d, mask=keep).to(tl.float32)
    return values + tl.where(known, 0.0, float("nan"))


@triton.jit
def embedding_layer_norm_forward_kernel(
    input_ids_ptr, position_ids_ptr, word_ptr, position_ptr, weight_ptr, bias_ptr, y_ptr,
    stride_word, stride_position, V, M, D, eps, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One token: y = w * xhat + b."""
    n = tl.program_id(0).to(tl.int64)
    offs_d = tl.arange(0, BLOCK_D)
    keep = offs_d < D
    t = gather(word_ptr, input_ids_ptr, n, stride_word, V, offs_d, keep)
    t += gather(position_ptr, position_ids_ptr, n, stride_position, M, offs_d, keep)
    xhat, _ = normalise(t, keep, D, eps)
    weight = tl.load(weight_ptr + offs_d, mask=keep).to(tl.float32)
    bias = tl.load(bias_ptr + offs_d, mask=keep).to(tl.float32)
    y = weight * xhat + bias
    tl.store(y_ptr + n * D + offs_d, y.to(y_ptr.dtype.element_ty), mask=keep)


@triton.jit
def embedding_layer_norm_backward_kernel(
    input_ids_ptr, position_ids_ptr, word_ptr, position_ptr, weight_ptr, dy_ptr, dt_ptr,
    partial_ptr, stride_word, stride_position, N, V, M, D, eps, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Every P-th token: dt. Their partial sums: dw, db. The twin of add_layer_norm's backward."""
    program = tl.program_id(0).to(tl.int64)
    programs = tl.num_programs(0)
    offs_d = tl.arange(0, BLOCK_D)
    keep = offs_d < D
    weight = tl.load(weight_ptr + offs_d, mask=keep, other=0.0).to(tl.float32)
    dweight = tl.zeros([BLOCK_D], tl.float32)
    dbias = tl.zeros([BLOCK_D], tl.float32)
    for n in range(program, N, programs):
        t = gather(word_ptr, input_ids_ptr, n, stride_word, V, offs_d, keep)
        t += gather(position_ptr, position_ids_ptr, n, stride_position, M, offs_d, keep)
        dy = tl.load(dy_ptr + n * D + offs_d, mask=keep, other=0.0).to(tl.float32)
        xhat, rstd = normalise(t, keep, D, eps)
        dt = normalise_backward(xhat, rstd, weight * dy, D)
        tl.store(dt_ptr + n * D + offs_d, dt.to(dt_ptr.dtype.element_ty), mask=keep)
        dweight += dy * xhat
        dbias += dy
    tl.store(partial_ptr + program * D + offs_d, dweight, mask=keep)
    tl.store(partial_ptr + (programs + program) * D + offs_d, dbias, mask=keep)


def embedding_layer_norm(
    input_ids: Tensor,
    position_ids: Tensor,
    word: Tensor,
    position: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float = 1e-12,
    padding_idx: int | None = None,
) -> Tensor:
    """LayerNorm(word[input_ids] + position[position_ids]).

    Args:
        input_ids: (...), int64 or int32: rows of `word`.
        position_ids: Broadcastable to the shape of `input_ids`: rows of `position`.
        word: (V, D), float32, float16 or bfloat16; the last axis has stride 1.
        position: (M, D), likewise.
        weight: (D,), the scale of the LayerNorm.
        bias: (D,), its shift.
        eps: Added to the variance; 0 or more.
        padding_idx: This row of `word` is read but receives no gradient; below 0 it counts from
            the end, as in `torch.nn.Embedding`.

    Returns:
        (..., D) in the dtype of `word`; sums and statistics are float32.

    Raises:
        ValueError: A dtype, device, stride or shape the kernel does not serve, or eps < 0; on the
            CPU an id that its table does not have. On a GPU, where a check would wait for all the
            work in flight, such an id gives a row of NaN.

    Examples:
        >>> import torch
        >>> word, position = torch.randn(100, 32), torch.randn(16, 32)
        >>> input_ids = torch.tensor([[1, 7, 5, 2]])
        >>> positions = torch.arange(4)[None]
        >>> norm = torch.ones(32), torch.zeros(32)  # weight and bias
        >>> embedding_layer_norm(input_ids, positions, word, position, *norm).shape
        torch.Size([1, 4, 32])
    """
    op = "embedding_layer_norm"
    check_floats(op, word=word, position=position, weight=weight, bias=bias)
    check_devices(op, word=word, input_ids=input_ids, position_ids=position_ids)
    for name, ids in {"input_ids": input_ids, "position_ids": position_ids}.items():
        if ids.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"{op}: {name} is {ids.dtype}; pass int64 or int32")
    if word.ndim != 2 or position.ndim != 2 or word.shape[1] != position.shape[1]:
        raise ValueError(
            f"{op}: word has shape {tuple(word.shape)} and position {tuple(position.shape)}, "
            "expected (V, D) and (M, D)"
        )
    check_norm(op, "word", word, eps)
    check_shape(op, "weight", weight, word.shape[1:])
    check_shape(op, "bias", bias, word.shape[1:])
    check_rows(op, word=word, position=position, weight=weight, bias=bias)
    try:
        position_ids = position_ids.expand(input_ids.shape)
    except RuntimeError as error:
        raise ValueError(
            f"{op}: position_ids of shape {tuple(position_ids.shape)} do not broadcast to "
            f"input_ids of shape {tuple(input_ids.shape)}"
        ) from error
    V = word.shape[0]
    if padding_idx is not None and not -V <= padding_idx < V:
        raise ValueError(f"{op}: padding_idx is {padding_idx}, but word has {V} rows")
    padding_idx = -1 if padding_idx is None else padding_idx % V
    return _embedding_layer_norm(
        input_ids, position_ids, word, position, weight, bias, eps, padding_idx
    )


@torch.library.custom_op("minidistil::embedding_layer_norm", mutates_args=())
@on_device_of_first
def _embedding_layer_norm(
    input_ids: Tensor, position_ids: Tensor, word: Tensor, position: Tensor, weight: Tensor,
    bias: Tensor, eps: float, padding_idx: int,
) -> Tensor:  # fmt: skip
    _check_ids("input_ids", input_ids, "word", word)
    _check_ids("position_ids", position_ids, "position", position)
    D = word.shape[1]
    y = word.new_empty((*input_ids.shape, D))
    if y.numel():
        embedding_layer_norm_forward_kernel[(input_ids.numel(),)](
            input_ids.contiguous(), position_ids.contiguous(), word, position, weight, bias, y,
            word.stride(0), position.stride(0), len(word), len(position), D, eps, **row_block(D),
        )  # fmt: skip
    return y


@torch.library.custom_op("minidistil::embedding_layer_norm_backward", mutates_args=())
@on_device_of_first
def _embedding_layer_norm_backward(
    input_ids: Tensor, position_ids: Tensor, word: Tensor, position: Tensor, weight: Tensor,
    dy: Tensor, eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """dt, dw and db."""
    N, D = input_ids.numel(), word.shape[1]
    dt = torch.empty_like(dy, memory_format=torch.contiguous_format)
    programs = min(N, PARTIALS)
    partial = word.new_empty((2, programs, D), dtype=torch.float32)
    if dt.numel():
        embedding_layer_norm_backward_kernel[(programs,)](
            input_ids.contiguous(), position_ids.contiguous(), word, position, weight,
            dy.contiguous(), dt, partial, word.stride(0), position.stride(0),
            N, len(word), len(position), D, eps, **row_block(D),
        )  # fmt: skip
    dweight, dbias = partial
    return dt, dweight.sum(0).to(weight.dtype), dbias.sum(0).to(weight.dtype)


def _check_ids(name: str, ids: Tensor, table_name: str, table: Tensor) -> None:
    # Inside the op, where ids have values under torch.compile too. A GPU would have to be waited
    # for; there the kernel itself keeps to the table.
    if ids.device.type == "cpu":
        wrong = ids[(ids < 0) | (ids >= len(table))]
        if len(wrong):
            raise ValueError(
                f"embedding_layer_norm: {name} holds {wrong[0].item()}, but {table_name} has the "
                f"rows 0 to {len(table) - 1}"
            )


@_embedding_layer_norm.register_fake
def _(
    input_ids: Tensor, position_ids: Tensor, word: Tensor, position: Tensor, weight: Tensor,
    bias: Tensor, eps: float, padding_idx: int,
) -> Tensor:  # fmt: skip
    return word.new_empty((*input_ids.shape, word.shape[1]))


@_embedding_layer_norm_backward.register_fake
def _(
    input_ids: Tensor, position_ids: Tensor, word: Tensor, position: Tensor, weight: Tensor,
    dy: Tensor, eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    dt = torch.empty_like(dy, memory_format=torch.contiguous_format)
    return dt, torch.empty_like(weight), torch.empty_like(weight)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input_ids, position_ids, word, position, weight, _, ctx.eps, ctx.padding_idx = inputs
    ctx.save_for_backward(input_ids, position_ids, word, position, weight)


def _differentiate(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors  # asked for once: gradient checkpointing computes them at the asking
    dt, dweight, dbias = _embedding_layer_norm_backward(*saved, dy, ctx.eps)
    input_ids, position_ids, word, position, _ = saved
    dword = dposition = None
    if ctx.needs_input_grad[2]:
        dword = sum_rows_by_id(input_ids, dt, word.shape[0], ctx.padding_idx)
    if ctx.needs_input_grad[3]:  # fixed, sinusoidal positions are a constant
        dposition = sum_rows_by_id(position_ids, dt, position.shape[0], -1)
    return None, None, dword, dposition, dweight, dbias, None, None


_embedding_layer_norm.register_autograd(_differentiate, setup_context=_save)
