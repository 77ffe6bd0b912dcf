r"""Cross-entropy of `hidden @ weight.T + bias` without the logits: they are never stored.

    x = hidden @ weight.T + bias          (N, V): at N = 8,192 and V = 30,522, 500 MB in float16
    loss_n = lse(x_n) - x_n[label_n]
    G_n[i] = dloss_n * (e^(x_n[i] - m - log l) - [i = label_n])      the gradient of x
    dhidden = G @ weight,  dweight = G.T @ hidden,  dbias = sum_n G_n

A tile of x lives in registers, between the dot that makes it and the online softmax that uses it
up (`cross_entropy.py`); the label's logit is picked out on the way. The backward makes the tiles
again: one more product of matrices, instead of N*V numbers kept from the forward.

Grid: the forward has one program for BLOCK_N rows and a slice of SLICE_V columns, which it walks
    over in tiles of BLOCK_V. Slices cost one line, the combination of their m and l, and make
    eight times the programs at V = 30,522: 512 rows are 8 programs without, 64 with them. The
    backward has one program for each tile of G, in chunks of CHUNK_V columns: a chunk of G goes
    to one buffer, used again for the next, and PyTorch multiplies it. No atomics, so the same
    inputs give the same bits, and dhidden is summed over the chunks in float32.
Bytes, for elements of e bytes, n = ceil(N / BLOCK_N), v = ceil(V / BLOCK_V), s = ceil(V / SLICE_V):
    the forward reads (N*v + V*n)*D*e + V*n*e + 8*N*s, as any tiled product does, and writes
    12*N*s; the backward's kernel reads (N*v + V*n)*D*e + V*n*e + 20*N*v and writes N*v*BLOCK_V*e.
    The most it holds at once beside its results is N*CHUNK_V*e + N*D*(4 + e) + CHUNK_V*D*e,
    where stored logits and their gradient hold 2*N*V*e.
FLOPs: 2*N*V*D forward, 6*N*V*D backward; with stored logits 2 and 4.
Saved for the backward: the inputs, and per row m and log l, float32.
Precision: half-precision inputs, float32 sums on tensor cores; float32 inputs are multiplied in
    IEEE float32 without tensor cores (and, in the backward, as `torch.backends` allows PyTorch).

Source: Wijmans et al. 2024, arXiv 2411.09009 (cut cross-entropy); Milakov and Gimelshein 2018,
arXiv 1805.02867.
Not here: leaving ignored rows out, which needs to know how many there are, so that a GPU would have
to wait: select them before (`hidden[labels != -100]`) where that wait costs less.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from minidistil_kernels.cross_entropy import START, check_labels, mean_of_counted
from minidistil_kernels.inputs import (
    check_devices,
    check_floats,
    check_rows,
    check_shape,
    on_device_of_first,
)

# Compiled for sm_80 and sm_90, these spill no registers and leave room for two blocks on an SM.
# IEEE float32 has no tensor cores: every product is an instruction with operands from registers,
# hence the thin BLOCK_D and the many warps.
HALF_TILE = {"BLOCK_N": 64, "BLOCK_V": 128, "BLOCK_D": 32, "num_warps": 4, "num_stages": 3}
FLOAT_TILE = {"BLOCK_N": 64, "BLOCK_V": 64, "BLOCK_D": 16, "num_warps": 8, "num_stages": 2}
# Columns; multiples of BLOCK_V.
SLICE_V = 4096
CHUNK_V = 4096


@triton.jit
def logits_tile(
    hidden_ptr, weight_ptr, bias_ptr, offs_n, offs_v, stride_hidden, stride_weight, N, V, D,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """A tile of hidden @ weight.T + bias, float32; columns past V are -inf."""
    h_rows = hidden_ptr + offs_n[:, None].to(tl.int64) * stride_hidden
    w_rows = weight_ptr + offs_v[None, :].to(tl.int64) * stride_weight
    x = tl.zeros((BLOCK_N, BLOCK_V), tl.float32)
    for start in range(0, D, BLOCK_D):
        offs_d = start + tl.arange(0, BLOCK_D)
        keep_h = (offs_n[:, None] < N) & (offs_d[None, :] < D)
        keep_w = (offs_v[None, :] < V) & (offs_d[:, None] < D)
        h = tl.load(h_rows + offs_d[None, :], mask=keep_h, other=0.0)
        w = tl.load(w_rows + offs_d[:, None], mask=keep_w, other=0.0)  # weight.T: (D, V)
        x = tl.dot(h, w, x, input_precision="ieee")
    bias = tl.load(bias_ptr + offs_v, mask=offs_v < V, other=float("-inf")).to(tl.float32)
    return x + bias[None, :]


@triton.jit
def linear_cross_entropy_forward_kernel(
    hidden_ptr, weight_ptr, bias_ptr, labels_ptr, m_ptr, l_ptr, z_ptr, stride_hidden, stride_weight,
    N, V, D, SLICE_V: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """BLOCK_N rows of one slice: m, l and the label's logit z, -inf where it is elsewhere."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    first = tl.program_id(1) * SLICE_V
    labels = tl.load(labels_ptr + offs_n, mask=offs_n < N, other=-1)
    m = tl.full((BLOCK_N,), START, tl.float32)
    l = tl.zeros((BLOCK_N,), tl.float32)
    z = tl.full((BLOCK_N,), float("-inf"), tl.float32)
    for start in range(first, tl.minimum(first + SLICE_V, V), BLOCK_V):
        offs_v = start + tl.arange(0, BLOCK_V)
        x = logits_tile(
            hidden_ptr, weight_ptr, bias_ptr, offs_n, offs_v, stride_hidden, stride_weight, N, V, D,
            BLOCK_N, BLOCK_V, BLOCK_D,
        )  # fmt: skip
        m_new = tl.maximum(m, tl.max(x, 1))
        l = l * tl.exp(m - m_new) + tl.sum(tl.exp(x - m_new[:, None]), 1)
        m = m_new
        mine = offs_v[None, :] == labels[:, None]
        z = tl.maximum(z, tl.max(tl.where(mine, x, float("-inf")), 1))
    offs_out = tl.program_id(1).to(tl.int64) * N + offs_n
    tl.store(m_ptr + offs_out, m, mask=offs_n < N)
    tl.store(l_ptr + offs_out, l, mask=offs_n < N)
    tl.store(z_ptr + offs_out, z, mask=offs_n < N)


@triton.jit
def linear_cross_entropy_backward_kernel(
    hidden_ptr, weight_ptr, bias_ptr, labels_ptr, m_ptr, log_l_ptr, dlosses_ptr, G_ptr,
    stride_hidden, stride_weight, stride_G, N, V, D, first,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One tile of the chunk of G that starts at column `first`: dloss * (softmax - onehot)."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_chunk = tl.program_id(1) * BLOCK_V + tl.arange(0, BLOCK_V)
    offs_v = first + offs_chunk
    keep_n = offs_n < N
    x = logits_tile(
        hidden_ptr, weight_ptr, bias_ptr, offs_n, offs_v, stride_hidden, stride_weight, N, V, D,
        BLOCK_N, BLOCK_V, BLOCK_D,
    )  # fmt: skip
    labels = tl.load(labels_ptr + offs_n, mask=keep_n, other=-1)
    m = tl.load(m_ptr + offs_n, mask=keep_n, other=0.0)
    log_l = tl.load(log_l_ptr + offs_n, mask=keep_n, other=0.0)
    dloss = tl.load(dlosses_ptr + offs_n, mask=keep_n, other=0.0)
    p = tl.exp((x - m[:, None]) - log_l[:, None])
    G = dloss[:, None] * (p - tl.where(offs_v[None, :] == labels[:, None], 1.0, 0.0))
    G_ptrs = G_ptr + offs_n[:, None].to(tl.int64) * stride_G + offs_chunk[None, :]
    # Columns past V are stored too, as zeros: the buffer has room for them, and a mask that ends
    # at an odd place would make every store 16 bits wide instead of 128.
    tl.store(G_ptrs, G.to(G_ptr.dtype.element_ty), mask=keep_n[:, None])


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, ignore_index: int = -100
) -> Tensor:
    """cross_entropy(hidden @ weight.T + bias, labels) without storing the (N, V) logits.

    Args:
        hidden: (N, D), float32, float16 or bfloat16; the last axis has stride 1.
        weight: (V, D), as `hidden`: the output embedding.
        bias: (V,), as `hidden`.
        labels: (N,), int64, each in [0, V) or `ignore_index`.
        ignore_index: The label of rows that do not count.

    Returns:
        (), float32; 0 with zero gradients where no row counts.

    Raises:
        ValueError: A dtype, device, stride or shape the kernel does not serve, or, on the CPU, a
            label out of range. On a GPU such a label makes the loss infinite.

    Examples:
        >>> import torch
        >>> hidden, weight, bias = torch.ones(2, 16), torch.zeros(4, 16), torch.zeros(4)
        >>> linear_cross_entropy(hidden, weight, bias, torch.tensor([3, -100]))  # log 4
        tensor(1.3863)
    """
    op = "linear_cross_entropy"
    check_floats(op, hidden=hidden, weight=weight, bias=bias)
    check_rows(op, hidden=hidden, weight=weight, bias=bias)
    check_devices(op, hidden=hidden, labels=labels)
    if hidden.ndim != 2 or weight.ndim != 2 or not weight.numel():
        raise ValueError(
            f"{op}: hidden has shape {tuple(hidden.shape)} and weight {tuple(weight.shape)}, "
            "expected (N, D) and (V, D), D > 0 and V > 0"
        )
    check_shape(op, "weight", weight, (weight.shape[0], hidden.shape[1]))
    check_shape(op, "bias", bias, weight.shape[:1])
    check_labels(op, labels, hidden.shape[0], weight.shape[0], ignore_index)
    losses, _, _ = _linear_cross_entropy(hidden, weight, bias, labels, ignore_index)
    return mean_of_counted(losses, labels, ignore_index)


@torch.library.custom_op("minidistil::linear_cross_entropy", mutates_args=())
@on_device_of_first
def _linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    (N, D), V = hidden.shape, len(weight)
    tile = _tile(hidden)
    slices = triton.cdiv(V, SLICE_V)
    m, l, z = (hidden.new_empty(slices, N, dtype=torch.float32) for _ in range(3))
    if N:
        linear_cross_entropy_forward_kernel[(triton.cdiv(N, tile["BLOCK_N"]), slices)](
            hidden, weight, bias, labels.contiguous(), m, l, z, hidden.stride(0), weight.stride(0),
            N, V, D, SLICE_V=SLICE_V, **tile,
        )  # fmt: skip
    m_row = m.amax(0)
    log_l = (l * (m - m_row).exp()).sum(0).log()
    losses = (m_row - z.amax(0)) + log_l
    return losses.masked_fill(labels == ignore_index, 0.0), m_row, log_l


@torch.library.custom_op("minidistil::linear_cross_entropy_backward", mutates_args=())
@on_device_of_first
def _linear_cross_entropy_backward(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, m: Tensor, log_l: Tensor,
    dlosses: Tensor, ignore_index: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    (N, D), V = hidden.shape, len(weight)
    tile = _tile(hidden)
    dlosses = dlosses.masked_fill(labels == ignore_index, 0.0).contiguous()
    dhidden = torch.zeros(N, D, dtype=torch.float32, device=hidden.device)
    dweight, dbias = weight.new_empty(V, D), bias.new_empty(V)
    buffer = hidden.new_empty(N, triton.cdiv(min(CHUNK_V, V), tile["BLOCK_V"]) * tile["BLOCK_V"])
    for first in range(0, V, CHUNK_V):
        chunk = slice(first, min(first + CHUNK_V, V))
        G = buffer[:, : chunk.stop - first]
        if N:
            grid = (triton.cdiv(N, tile["BLOCK_N"]), triton.cdiv(G.shape[1], tile["BLOCK_V"]))
            # The whole buffer, not G: the last tile is stored whole.
            linear_cross_entropy_backward_kernel[grid](
                hidden, weight, bias, labels.contiguous(), m, log_l, dlosses, buffer,
                hidden.stride(0), weight.stride(0), buffer.stride(0), N, V, D, first, **tile,
            )  # fmt: skip
        with torch.autocast(hidden.device.type, enabled=False):  # the dtype of the inputs counts
            dhidden += G @ weight[chunk]
            dweight[chunk] = G.T @ hidden
        dbias[chunk] = G.sum(0, dtype=torch.float32)
    return dhidden.to(hidden.dtype), dweight, dbias


def _tile(hidden: Tensor) -> dict[str, int]:
    return FLOAT_TILE if hidden.dtype == torch.float32 else HALF_TILE


@_linear_cross_entropy.register_fake
def _(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    losses, m, log_l = (hidden.new_empty(hidden.shape[0], dtype=torch.float32) for _ in range(3))
    return losses, m, log_l


@_linear_cross_entropy_backward.register_fake
def _(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, m: Tensor, log_l: Tensor,
    dlosses: Tensor, ignore_index: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return (
        hidden.new_empty(hidden.shape),
        weight.new_empty(weight.shape),
        bias.new_empty(bias.shape),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, ctx.ignore_index = inputs
    _, m, log_l = output
    ctx.mark_non_differentiable(m, log_l)
    ctx.save_for_backward(*tensors, m, log_l)


def _differentiate(
    ctx: Any, dlosses: Tensor, *_: Tensor
) -> tuple[Tensor, Tensor, Tensor, None, None]:
    gradients = _linear_cross_entropy_backward(*ctx.saved_tensors, dlosses, ctx.ignore_index)
    return *gradients, None, None


_linear_cross_entropy.register_autograd(_differentiate, setup_context=_save)
