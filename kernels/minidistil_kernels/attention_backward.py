r"""Fused attention, backward: the weights are computed again, tile by tile, from the saved lse.

With P = e^(Q K^T * scale - lse), the dropout's 0 or 1/(1-p) in D, and C = (P * D) V the context:

    dV    = (P * D)^T dC
    dP    = (dC V^T) * D
    delta = rowsum(dC * C) = rowsum(dP * P)   which is why no row of P is ever needed whole
    dS    = P * (dP - delta)                   the backward of the softmax
    dQ    = dS K * scale
    dK    = dS^T Q * scale

Two kernels, because each sum wants its terms in one program: dQ sums over keys, dK and dV sum over
queries. Both compute P, the price of adding in a fixed order: no atomics, the same bits every time.

1. `attention_dquery_kernel`: a program owns BLOCK_M queries and walks over the keys. It also forms
   delta, a number for each query, for the second kernel.
2. `attention_dkey_dvalue_kernel`: a program owns BLOCK_N keys and walks over the queries. Its tiles
   of P and dS are transposed, keys first: so written, no product needs a transposed result.

Grid: as in the forward, over tiles of queries, then over tiles of keys.
Bytes requested, with T = ceil(S / BLOCK) of the kernel: dQ reads Q, C, dC and writes dQ once, and
    each of its B * H * T programs reads all of K and V; dK and dV read K and V and write dK and dV
    once, and each of their programs reads all of Q, dC, lse and delta. The lower bound is every
    tensor once.

Source: Dao 2023, arXiv 2307.08691, algorithm 2, split in two.
Not here: checks and autograd (`attention.py`); the helpers of `attention_forward.py`.
"""

import torch
import triton
import triton.language as tl

from minidistil_kernels.attention_forward import (
    Tile,
    load_rows,
    locate,
    store_rows,
    survives,
)

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def load_lse(lse_ptr, offs_m, length):
    """The lse in base 2, such that 2^(s - lse) is 0 for a query past the end or without a key."""
    lse = tl.load(lse_ptr + offs_m, mask=offs_m < length, other=float("inf"))
    return tl.where(lse == float("-inf"), float("inf"), lse) * LOG2_E


@triton.jit
def attention_dquery_kernel(
    query_ptr, key_ptr, value_ptr, key_mask_ptr, cu_seqlens_ptr, seed_ptr,
    context_ptr, lse_ptr, dcontext_ptr, delta_ptr, dquery_ptr,
    stride_qb, stride_qh, stride_qs, stride_kb, stride_kh, stride_ks,
    stride_vb, stride_vh, stride_vs, stride_cb, stride_ch, stride_cs,
    stride_dcb, stride_dch, stride_dcs, stride_dqb, stride_dqh, stride_dqs,
    stride_mask, stride_lb, stride_lh,
    scale, scale_log2, dropout_p, dropout_scale, S, H,
    HAS_MASK: tl.constexpr, PACKED: tl.constexpr, DROPOUT: tl.constexpr,
    K: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    UNIT: tl.constexpr,
):  # fmt: skip
    """The gradient of BLOCK_M queries of one head, and their delta; strides in units of UNIT."""
    start_m, b, h, begin, length = locate(cu_seqlens_ptr, S, H, BLOCK_M, PACKED)
    if start_m >= length:
        return
    query_ptr += (b * stride_qb + h * stride_qh + begin * stride_qs) * UNIT
    key_ptr += (b * stride_kb + h * stride_kh + begin * stride_ks) * UNIT
    value_ptr += (b * stride_vb + h * stride_vh + begin * stride_vs) * UNIT
    context_ptr += (b * stride_cb + h * stride_ch + begin * stride_cs) * UNIT
    dcontext_ptr += (b * stride_dcb + h * stride_dch + begin * stride_dcs) * UNIT
    dquery_ptr += (b * stride_dqb + h * stride_dqh + begin * stride_dqs) * UNIT
    lse_ptr += b * stride_lb + h * stride_lh + begin
    delta_ptr += b * stride_lb + h * stride_lh + begin
    offs_m = start_m + tl.arange(0, BLOCK_M)
    inside = offs_m < length
    q = load_rows(query_ptr, offs_m, stride_qs * UNIT, inside, K, BLOCK_K)
    dc = load_rows(dcontext_ptr, offs_m, stride_dcs * UNIT, inside, K, BLOCK_K)
    c = load_rows(context_ptr, offs_m, stride_cs * UNIT, inside, K, BLOCK_K)
    delta = tl.sum(c.to(tl.float32) * dc.to(tl.float32), 1)
    tl.store(delta_ptr + offs_m, delta, mask=inside)
    lse = load_lse(lse_ptr, offs_m, length)
    dq = tl.zeros([BLOCK_M, BLOCK_K], tl.float32)
    for start_n in range(0, length, BLOCK_N):
        offs_n = start_n + tl.arange(0, BLOCK_N)
        if HAS_MASK:
            keep = tl.load(key_mask_ptr + b * stride_mask + offs_n) != 0
            k = load_rows(key_ptr, offs_n, stride_ks * UNIT, keep, K, BLOCK_K)
            v = load_rows(value_ptr, offs_n, stride_vs * UNIT, keep, K, BLOCK_K)
        else:
            keep = offs_n < length
            offs_kv = tl.minimum(offs_n, length - 1)
            k = load_rows(key_ptr, offs_kv, stride_ks * UNIT, None, K, BLOCK_K)
            v = load_rows(value_ptr, offs_kv, stride_vs * UNIT, None, K, BLOCK_K)
        s = tl.dot(q, tl.trans(k), input_precision="ieee")
        s = tl.where(keep[None, :], s, float("-inf"))
        p = tl.exp2(s * scale_log2 - lse[:, None])
        dp = tl.dot(dc, tl.trans(v), input_precision="ieee")
        if DROPOUT:
            spared = survives(seed_ptr, b * H + h, offs_m[:, None], offs_n[None, :], dropout_p)
            dp = tl.where(spared, dp * dropout_scale, 0.0)
        ds = p * (dp - delta[:, None])
        dq = tl.dot(ds.to(k.dtype), k, dq, input_precision="ieee")
    store_rows(dquery_ptr, offs_m, stride_dqs * UNIT, inside, dq * scale, K, BLOCK_K)


@triton.jit
def attention_dkey_dvalue_kernel(
    query_ptr, key_ptr, value_ptr, key_mask_ptr, cu_seqlens_ptr, seed_ptr,
    lse_ptr, dcontext_ptr, delta_ptr, dkey_ptr, dvalue_ptr,
    stride_qb, stride_qh, stride_qs, stride_kb, stride_kh, stride_ks,
    stride_vb, stride_vh, stride_vs, stride_dcb, stride_dch, stride_dcs,
    stride_dkb, stride_dkh, stride_dks, stride_dvb, stride_dvh, stride_dvs,
    stride_mask, stride_lb, stride_lh,
    scale, scale_log2, dropout_p, dropout_scale, S, H,
    HAS_MASK: tl.constexpr, PACKED: tl.constexpr, DROPOUT: tl.constexpr,
    K: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    UNIT: tl.constexpr,
):  # fmt: skip
    """The gradients of BLOCK_N keys of one head and of their values; strides in units of UNIT."""
    start_n, b, h, begin, length = locate(cu_seqlens_ptr, S, H, BLOCK_N, PACKED)
    if start_n >= length:
        return
    query_ptr += (b * stride_qb + h * stride_qh + begin * stride_qs) * UNIT
    key_ptr += (b * stride_kb + h * stride_kh + begin * stride_ks) * UNIT
    value_ptr += (b * stride_vb + h * stride_vh + begin * stride_vs) * UNIT
    dcontext_ptr += (b * stride_dcb + h * stride_dch + begin * stride_dcs) * UNIT
    dkey_ptr += (b * stride_dkb + h * stride_dkh + begin * stride_dks) * UNIT
    dvalue_ptr += (b * stride_dvb + h * stride_dvh + begin * stride_dvs) * UNIT
    lse_ptr += b * stride_lb + h * stride_lh + begin
    delta_ptr += b * stride_lb + h * stride_lh + begin
    offs_n = start_n + tl.arange(0, BLOCK_N)
    inside = offs_n < length
    keep = inside
    if HAS_MASK:
        keep = tl.load(key_mask_ptr + b * stride_mask + offs_n) != 0
    # A mask on these two loads makes the compiler give up prefetching in the loop (sm_80).
    offs_kv = tl.minimum(offs_n, length - 1)
    k = load_rows(key_ptr, offs_kv, stride_ks * UNIT, None, K, BLOCK_K)
    v = load_rows(value_ptr, offs_kv, stride_vs * UNIT, None, K, BLOCK_K)
    dk = tl.zeros([BLOCK_N, BLOCK_K], tl.float32)
    dv = tl.zeros([BLOCK_N, BLOCK_K], tl.float32)
    for start_m in range(0, length, BLOCK_M):
        offs_m = start_m + tl.arange(0, BLOCK_M)
        offs_qc = tl.minimum(offs_m, length - 1)
        q = load_rows(query_ptr, offs_qc, stride_qs * UNIT, None, K, BLOCK_K)
        dc = load_rows(dcontext_ptr, offs_qc, stride_dcs * UNIT, None, K, BLOCK_K)
        lse = load_lse(lse_ptr, offs_m, length)
        delta = tl.load(delta_ptr + offs_qc)
        s = tl.dot(k, tl.trans(q), input_precision="ieee")
        s = tl.where(keep[:, None], s, float("-inf"))
        p = tl.exp2(s * scale_log2 - lse[None, :])
        dp = tl.dot(v, tl.trans(dc), input_precision="ieee")
        thinned = p
        if DROPOUT:
            spared = survives(seed_ptr, b * H + h, offs_m[None, :], offs_n[:, None], dropout_p)
            thinned = tl.where(spared, p, 0.0)
            dp = tl.where(spared, dp * dropout_scale, 0.0)
        dv = tl.dot(thinned.to(dc.dtype), dc, dv, input_precision="ieee")
        ds = p * (dp - delta[None, :])
        dk = tl.dot(ds.to(q.dtype), q, dk, input_precision="ieee")
    # A masked key was weighed 0 by all, so its sums are 0, or NaN where it or its value is NaN.
    dk = tl.where(keep[:, None], dk * scale, 0.0)
    dv = tl.where(keep[:, None], dv * dropout_scale, 0.0)
    store_rows(dkey_ptr, offs_n, stride_dks * UNIT, inside, dk, K, BLOCK_K)
    store_rows(dvalue_ptr, offs_n, stride_dvs * UNIT, inside, dv, K, BLOCK_K)


def backward_tile(dtype: torch.dtype, K: int, dropout: bool) -> Tile:
    """As `forward_tile`, for both kernels; the random numbers of dropout need registers too.

    Two spill 8 bytes a thread, dK and dV of float32 40 wide (sm_80) and of half precision 48 wide
    with mask and dropout (sm_90); tiles that mend them spilled more elsewhere.
    """
    if dtype == torch.float32:
        return Tile(16, 32, 8 if K > 64 else 4, 2)
    padded = triton.next_power_of_2(K) != K
    if padded and (K > 64 or dropout):
        return Tile(32, 32, 4, 2)
    return Tile(64, 32 if K > 64 or padded or dropout else 64, 4, 2)
