"""The anchor: a plain fused-attention forward to hold this package's own against.

The algorithm of the forward in Triton's tutorial 06 ("Fused Attention"), typed anew: without the
causal mask, and **without any mask at all**. It demands that S is a multiple of both tiles, has no
dropout and no packed sequences, so it does less work than `attention_forward.py`. What registers
and resident blocks ours needs beyond it, at the same tile, is what the masks cost.

Source: P. Tillet and others, triton-lang.org, tutorial 06; Dao 2023, arXiv 2307.08691.
Not here: a function to call. It is compiled and counted, never launched.
"""

from dataclasses import replace

import triton
import triton.language as tl

from minidistil_kernels.lab.ahead_of_time.compilation import Case


@triton.jit
def anchor_forward_kernel(
    query_ptr, key_ptr, value_ptr, out_ptr, lse_ptr, scale, S,
    K: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One tile of queries of one head; the tensors are (B*H*S, K), contiguous."""
    head = tl.program_id(1)
    rows = tl.num_programs(1) * S
    # A descriptor carries shape, strides and tile: on sm_90 its loads are copies by the TMA.
    query = tl.make_tensor_descriptor(query_ptr, [rows, K], [K, 1], [BLOCK_M, K])
    key = tl.make_tensor_descriptor(key_ptr, [rows, K], [K, 1], [BLOCK_N, K])
    value = tl.make_tensor_descriptor(value_ptr, [rows, K], [K, 1], [BLOCK_N, K])
    out = tl.make_tensor_descriptor(out_ptr, [rows, K], [K, 1], [BLOCK_M, K])
    first = tl.program_id(0) * BLOCK_M
    q = query.load([head * S + first, 0])
    scale *= 1.4426950408889634  # log2(e): powers of 2 are what the hardware computes
    m = tl.full([BLOCK_M], float("-inf"), tl.float32)
    l = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, K], tl.float32)
    for start in range(0, S, BLOCK_N):
        k = key.load([head * S + start, 0])
        s = tl.dot(q, k.T, input_precision="ieee")
        m_new = tl.maximum(m, tl.max(s, 1) * scale)
        p = tl.exp2(s * scale - m_new[:, None])
        rescale = tl.exp2(m - m_new)
        l = l * rescale + tl.sum(p, 1)
        v = value.load([head * S + start, 0])
        acc = tl.dot(p.to(v.dtype), v, acc * rescale[:, None], input_precision="ieee")
        m = m_new
    offs_m = first + tl.arange(0, BLOCK_M)
    tl.store(lse_ptr + head * S + offs_m, m + tl.log2(l))
    out.store([head * S + first, 0], (acc / l[:, None]).to(out_ptr.dtype.element_ty))


def anchor_beside(attention: Case) -> Case:
    """The anchor at the tile, the warps and the stages of a case of our attention forward."""
    pointers = ("query_ptr", "key_ptr", "value_ptr", "out_ptr")
    return replace(
        attention,
        name=anchor_forward_kernel.__name__,
        kernel=anchor_forward_kernel,
        signature=dict.fromkeys(pointers, attention.signature["query_ptr"])
        | {"lse_ptr": "*fp32", "scale": "fp32", "S": "i32"},
        constants={name: attention.constants[name] for name in ("K", "BLOCK_M", "BLOCK_N")},
        divisible_by_16=None,
    )
