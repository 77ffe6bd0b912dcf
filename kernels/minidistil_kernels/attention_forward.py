r"""Fused attention, forward: softmax(Q K^T * scale) V without ever storing the (S, S) weights.

One program owns BLOCK_M queries of one head and walks over the keys, BLOCK_N at a time. It keeps,
for each of its queries, the running maximum m, the running sum l and the running context acc:

    s     = q K^T * scale                    the scores of this tile of keys
    m'    = max(m, max s)
    p     = e^(s - m')                       alpha = e^(m - m'): what the old terms shrink by
    l'    = l * alpha + sum p
    acc'  = acc * alpha + p V
    at the end: context = acc / l, lse = m + log l

m and s are kept times log2(e), because a GPU has an instruction for 2^x and none for e^x.
A masked key has s = -inf, so p = 0. A query that sees no key ends with l = 0: context 0, lse -inf.
So does one whose scores all overflow to -inf, which takes products of 3e38 and is NaN in the
specification: to count the keys as well costs 8 registers and one of three resident blocks (sm_80).

Grid: one axis of ceil(S / BLOCK_M) * B * H programs, the tiles of one head next to each other, so
    that they find its keys and values in the L2 cache. Packed, S is the longest sequence, and
    programs that begin past the end of theirs return at once.
Bytes requested, with T = ceil(S / BLOCK_M) tiles of queries, S' = ceil(S / BLOCK_N) * BLOCK_N keys
    (past the end the last row is read again) and elements of e bytes:
        queries   B * H * T * BLOCK_M * K * e       context   B * H * S * K * e
        keys      B * H * T * S' * K * e            lse       B * H * S * 4
        values    the same, but of the keys that count only, and a mask of B * H * T * S'
    The lower bound is each of Q, K, V and the context once: the forward loses a factor T on K and
    V, which the L2 cache is there for. Matmul, softmax and matmul in three kernels would also move
    4 * B * H * S * S elements.
Alignment: strides come in units of UNIT elements, a constant, so that the compiler sees where rows
    begin. By itself it is told of multiples of 16 and of nothing less, and would read heads of 40
    float16, 80 bytes, 16 bits at a time instead of 128.
Saved for the backward: query, key, value, context and lse: O(S), not O(S^2).

Source: Dao 2023, arXiv 2307.08691, algorithm 1; Milakov and Gimelshein 2018, arXiv 1805.02867.
Not here: checks and autograd (`attention.py`), the gradients (`attention_backward.py`).
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl

LN_2 = tl.constexpr(0.6931471805599453)
LOWEST = tl.constexpr(-3.0e38)  # below every score, but finite: -inf - -inf would be NaN


@triton.jit
def locate(cu_seqlens_ptr, S, H, BLOCK: tl.constexpr, PACKED: tl.constexpr):
    """What this program owns: its first row, its b and h, where b begins in memory, b's length."""
    tiles = tl.cdiv(S, BLOCK)
    first = tl.program_id(0) % tiles * BLOCK
    b = (tl.program_id(0) // tiles // H).to(tl.int64)  # 64 bits: b * stride_b may pass 2^31
    h = (tl.program_id(0) // tiles % H).to(tl.int64)
    begin = tl.zeros([], tl.int64)
    length = S
    if PACKED:
        begin = tl.load(cu_seqlens_ptr + b).to(tl.int64)
        length = (tl.load(cu_seqlens_ptr + b + 1) - begin).to(tl.int32)
    return first, b, h, begin, length


@triton.jit
def load_rows(ptr, rows, stride, keep, K: tl.constexpr, BLOCK_K: tl.constexpr):
    """Rows of K elements as a (rows, BLOCK_K) tile; 0 past K and in rows that are not kept."""
    offs_k = tl.arange(0, BLOCK_K)
    ptrs = ptr + rows[:, None] * stride + offs_k
    if keep is None and K == BLOCK_K:
        tile = tl.load(ptrs)
    elif keep is None:
        tile = tl.load(ptrs, mask=offs_k < K, other=0.0)
    elif K == BLOCK_K:
        tile = tl.load(ptrs, mask=keep[:, None], other=0.0)
    else:
        tile = tl.load(ptrs, mask=keep[:, None] & (offs_k < K), other=0.0)
    return tile


@triton.jit
def store_rows(ptr, rows, stride, keep, tile, K: tl.constexpr, BLOCK_K: tl.constexpr):
    """Store a (rows, BLOCK_K) tile as rows of K elements in the dtype of `ptr`."""
    offs_k = tl.arange(0, BLOCK_K)
    mask = keep[:, None]
    if K != BLOCK_K:
        mask &= offs_k < K
    ptrs = ptr + rows[:, None] * stride + offs_k
    tl.store(ptrs, tile.to(ptr.dtype.element_ty), mask=mask)


@triton.jit
def survives(seed_ptr, head, rows, columns, dropout_p):
    """Which weights dropout spares: the same in any tile, padded or packed, forward or backward.

    Philox is a function, not a state: a number for each (seed, head) and (row, column).
    """
    seed = (head << 32) | (tl.load(seed_ptr) & 0xFFFFFFFF)
    return tl.rand(seed, (rows.to(tl.int64) << 32) | columns) >= dropout_p


@triton.jit
def attention_forward_kernel(
    query_ptr, key_ptr, value_ptr, key_mask_ptr, cu_seqlens_ptr, seed_ptr, context_ptr, lse_ptr,
    stride_qb, stride_qh, stride_qs, stride_kb, stride_kh, stride_ks,
    stride_vb, stride_vh, stride_vs, stride_cb, stride_ch, stride_cs,
    stride_mask, stride_lb, stride_lh,
    scale_log2, dropout_p, dropout_scale, S, H,
    HAS_MASK: tl.constexpr, PACKED: tl.constexpr, DROPOUT: tl.constexpr,
    K: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    UNIT: tl.constexpr,
):  # fmt: skip
    """The context and the lse of BLOCK_M queries of one head; strides in units of UNIT."""
    start_m, b, h, begin, length = locate(cu_seqlens_ptr, S, H, BLOCK_M, PACKED)
    if start_m >= length:
        return
    query_ptr += (b * stride_qb + h * stride_qh + begin * stride_qs) * UNIT
    key_ptr += (b * stride_kb + h * stride_kh + begin * stride_ks) * UNIT
    value_ptr += (b * stride_vb + h * stride_vh + begin * stride_vs) * UNIT
    context_ptr += (b * stride_cb + h * stride_ch + begin * stride_cs) * UNIT
    lse_ptr += b * stride_lb + h * stride_lh + begin
    offs_m = start_m + tl.arange(0, BLOCK_M)
    # Past the end the last row is read again: a clamp costs fewer registers than a load mask.
    q = load_rows(query_ptr, tl.minimum(offs_m, length - 1), stride_qs * UNIT, None, K, BLOCK_K)
    m = tl.full([BLOCK_M], LOWEST, tl.float32)
    l = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_K], tl.float32)
    for start_n in range(0, length, BLOCK_N):
        offs_n = start_n + tl.arange(0, BLOCK_N)
        offs_kv = tl.minimum(offs_n, length - 1)
        if HAS_MASK:  # padded with False to whole tiles by the launch
            keep = tl.load(key_mask_ptr + b * stride_mask + offs_n) != 0
            # Weight 0 would not do for a masked value: 0 * NaN is NaN.
            v = load_rows(value_ptr, offs_n, stride_vs * UNIT, keep, K, BLOCK_K)
        else:
            keep = offs_n < length
            v = load_rows(value_ptr, offs_kv, stride_vs * UNIT, None, K, BLOCK_K)
        k = load_rows(key_ptr, offs_kv, stride_ks * UNIT, None, K, BLOCK_K)
        s = tl.dot(q, tl.trans(k), input_precision="ieee")
        s = tl.where(keep[None, :], s, float("-inf"))
        m_new = tl.maximum(m, tl.max(s, 1) * scale_log2)
        p = tl.exp2(s * scale_log2 - m_new[:, None])
        alpha = tl.exp2(m - m_new)
        l = l * alpha + tl.sum(p, 1)
        if DROPOUT:  # after the sum: the softmax is normalised over all keys, then thinned out
            p = tl.where(
                survives(seed_ptr, b * H + h, offs_m[:, None], offs_n[None, :], dropout_p), p, 0.0
            )
        acc = tl.dot(p.to(v.dtype), v, acc * alpha[:, None], input_precision="ieee")
        m = m_new
    inside = offs_m < length
    empty = l == 0.0
    l = tl.where(empty, 1.0, l)
    acc *= (dropout_scale / l)[:, None]
    lse = tl.where(empty, float("-inf"), (m + tl.log2(l)) * LN_2)
    tl.store(lse_ptr + offs_m, lse, mask=inside)
    store_rows(context_ptr, offs_m, stride_cs * UNIT, inside, acc, K, BLOCK_K)


class Tile(NamedTuple):
    """The constants a kernel is compiled for."""

    BLOCK_M: int
    BLOCK_N: int
    num_warps: int
    num_stages: int


def forward_tile(dtype: torch.dtype, K: int) -> Tile:
    """Tiles that compile without spilled registers on sm_80 and sm_90, the larger the better.

    Compiled for that: the cases of the ahead-of-time catalogue (K = 64 in each variant; 40 and 80
    masked, with dropout), and K = 128 masked, with dropout.

    A larger tile reads keys and values fewer times, but its accumulators live in registers: a
    float32 tile needs twice as many, and no tensor core multiplies it in IEEE precision.
    """
    if dtype == torch.float32:
        return Tile(32, 32, 8 if K > 64 else 4, 2)
    padded = triton.next_power_of_2(K) != K
    return Tile(64, 32 if K > 64 or padded else 64, 4, 2)
