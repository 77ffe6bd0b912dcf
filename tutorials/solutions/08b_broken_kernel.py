"""A broken kernel: attention that is right for short texts.

    context_i = sum_j softmax(scale * q_i . k)_j * v_j        over the first `length` keys

The kernel below is FlashAttention for one head. A program owns BLOCK queries, walks over the keys
BLOCK at a time, and keeps for each of its queries the largest score so far (m), the sum of weights
(l) and the weighted sum of values (acc). It has one fault. Up to BLOCK keys the result is right;
beyond, some queries give their first keys too much weight, and which ones depends on the order of
the keys. Tests on short texts never see it. Find it, and mend it.

Which keys count is right as it is: keys from `length` on are padding, and are not even loaded.

Shapes: q, k, v (S, 16), contiguous float32, 1 <= length <= S; the context is (S, 16).
Source: Dao 2023, arXiv 2307.08691, algorithm 1; the tutorial 08 of this course, sections 2 to 4.
Needs Triton. Without a GPU it runs in Triton's interpreter.
"""

import torch
import triton
import triton.language as tl

TILE = 16  # queries of a program, and keys of a step


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, context_ptr, scale, S, length, K: tl.constexpr, BLOCK: tl.constexpr
):
    """Program i turns queries i * BLOCK, ... into their context."""
    offs_k = tl.arange(0, K)
    offs_m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = offs_m[:, None] < S
    q = tl.load(q_ptr + offs_m[:, None] * K + offs_k, mask=inside, other=0.0)
    m = tl.full([BLOCK], float("-inf"), tl.float32)
    l = tl.zeros([BLOCK], tl.float32)
    acc = tl.zeros([BLOCK, K], tl.float32)
    for start in range(0, length, BLOCK):
        offs_n = start + tl.arange(0, BLOCK)
        keep = offs_n < length
        k = tl.load(k_ptr + offs_n[:, None] * K + offs_k, mask=keep[:, None], other=0.0)
        v = tl.load(v_ptr + offs_n[:, None] * K + offs_k, mask=keep[:, None], other=0.0)
        s = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        s = tl.where(keep[None, :], s, float("-inf"))
        # answer
        m_new = tl.maximum(m, tl.max(s, 1))
        p = tl.exp(s - m_new[:, None])
        alpha = tl.exp(m - m_new)
        l = l * alpha + tl.sum(p, 1)
        acc = acc * alpha[:, None] + tl.dot(p, v, input_precision="ieee")
        m = m_new
        # instead
        # m_new = tl.maximum(m, tl.max(s, 1))
        # p = tl.exp(s - m_new[:, None])
        # alpha = tl.exp(m - m_new)
        # l = l * alpha + tl.sum(p, 1)
        # acc = acc + tl.dot(p, v, input_precision="ieee")
        # m = m_new
        # end
    tl.store(context_ptr + offs_m[:, None] * K + offs_k, acc / l[:, None], mask=inside)


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, length: int) -> torch.Tensor:
    """The context of every query: a program for each TILE of them."""
    context = torch.empty_like(q)
    S, K = q.shape
    grid = (triton.cdiv(S, TILE),)
    attention_kernel[grid](q, k, v, context, K**-0.5, S, length, K=K, BLOCK=TILE)
    return context
