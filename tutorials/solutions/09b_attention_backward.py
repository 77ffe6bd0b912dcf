"""The gradients of attention, by hand.

    p = softmax(q k^T / sqrt(K))        c = p v        dc: the gradient of a loss by c

A factor of a product gets the gradient of the product times the other factor; where a matrix has to
be turned follows from the shapes. So dv comes from p and dc, and dp from dc and v. Then, with z for
the scores, row by row as in 09a,

    dz_ij = p_ij * (dp_ij - delta_i)        delta_i = sum_j p_ij dp_ij = sum_k dc_ik c_ik

and dq, dk come from dz. The second sum for delta is why the context is handed over: it needs no row
of p. The weights p were not kept: compute them again. That costs arithmetic and saves the memory of
S * T numbers a head, which is what a long text runs out of.

Shapes: q, c, dc (S, K), k and v (T, K), all float32 or all float64; the result is (dq, dk, dv).
The trap: the scores were divided by sqrt(K), and so are two of the three. Do not call autograd.
Source: Dao et al. 2022, arXiv 2205.14135, appendix B.2; the tutorial 09 of this course.
"""

import torch
from torch import Tensor


def attention_backward(
    q: Tensor, k: Tensor, v: Tensor, c: Tensor, dc: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by q, k and v of one head, from the context c and its gradient dc."""
    # answer
    scale = q.shape[-1] ** -0.5
    p = torch.softmax(q @ k.mT * scale, -1)
    dv = p.mT @ dc
    dp = dc @ v.mT
    delta = (dc * c).sum(-1, keepdim=True)
    dz = p * (dp - delta)
    dq = dz @ k * scale
    dk = dz.mT @ q * scale
    return dq, dk, dv
    # end
