"""A tile without a key.

    context_i = sum_j w_ij * v_j        w_ij = mask_j exp(s_ij) / sum_t mask_t exp(s_it)

The mask says which keys count, in any pattern: a tile may have none of them, and so may the whole
text. A query that sees no key attends to nothing: its context is 0, not NaN, and not the mean of
what is masked. Otherwise one empty text in a batch ruins the gradient of all.

Three places of the kernel deal with that: the maximum that a row begins with, the score of a key
that is masked, and the division at the end. Each has a fault, and mending one shows the next. Look
out for -inf - -inf, which is NaN; and scores may lie far below 0.

How masked keys are loaded is right: as zeros, because 0 times a masked NaN would be NaN.

Shapes: q, k, v (S, 16), contiguous float32, mask (S,), boolean, S >= 1; the context is (S, 16).
Source: Dao 2023, arXiv 2307.08691, algorithm 1; kernels/minidistil_kernels/attention_forward.py.
Needs Triton. Without a GPU it runs in Triton's interpreter.
"""

import torch
import triton
import triton.language as tl

TILE = 16  # queries of a program, and keys of a step


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, mask_ptr, context_ptr, scale, S, K: tl.constexpr, BLOCK: tl.constexpr
):
    """Program i turns queries i * BLOCK, ... into their context."""
    offs_k = tl.arange(0, K)
    offs_m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = offs_m[:, None] < S
    q = tl.load(q_ptr + offs_m[:, None] * K + offs_k, mask=inside, other=0.0)
    # answer
    m = tl.full([BLOCK], -3.0e38, tl.float32)  # below every score, but finite
    # instead
    # m = tl.full([BLOCK], float("-inf"), tl.float32)
    # end
    l = tl.zeros([BLOCK], tl.float32)
    acc = tl.zeros([BLOCK, K], tl.float32)
    for start in range(0, S, BLOCK):
        offs_n = start + tl.arange(0, BLOCK)
        keep = tl.load(mask_ptr + offs_n, mask=offs_n < S, other=0) != 0
        k = tl.load(k_ptr + offs_n[:, None] * K + offs_k, mask=keep[:, None], other=0.0)
        v = tl.load(v_ptr + offs_n[:, None] * K + offs_k, mask=keep[:, None], other=0.0)
        s = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        # answer
        s = tl.where(keep[None, :], s, float("-inf"))
        # instead
        # s = tl.where(keep[None, :], s, 0.0)
        # end
        m_new = tl.maximum(m, tl.max(s, 1))
        p = tl.exp(s - m_new[:, None])
        alpha = tl.exp(m - m_new)
        l = l * alpha + tl.sum(p, 1)
        acc = acc * alpha[:, None] + tl.dot(p, v, input_precision="ieee")
        m = m_new
    # answer
    l = tl.where(l == 0.0, 1.0, l)  # no key: acc is 0, and stays 0
    context = acc / l[:, None]
    # instead
    # context = acc / l[:, None]
    # end
    tl.store(context_ptr + offs_m[:, None] * K + offs_k, context, mask=inside)


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """The context of every query: a program for each TILE of them."""
    context = torch.empty_like(q)
    S, K = q.shape
    grid = (triton.cdiv(S, TILE),)
    attention_kernel[grid](q, k, v, mask, context, K**-0.5, S, K=K, BLOCK=TILE)
    return context
