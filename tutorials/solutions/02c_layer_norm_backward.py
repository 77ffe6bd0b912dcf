"""The gradients of LayerNorm, by hand.

Of each row let m be the mean, v the variance, r = 1 / sqrt(v + EPS) and n_i = (x_i - m) r. The
forward pass gives y_i = n_i w_i + b_i. Let g be the gradient of a loss with respect to y, and
h_i = g_i w_i. Then

    dx_i = r (h_i - mean_j h_j - n_i mean_j (h_j n_j))
    dw_i = sum over all rows of g_i n_i
    db_i = sum over all rows of g_i

Mean and variance depend on every x of a row: that is where the two means come from. Leave one out,
and training still goes on, only worse, so that nobody notices. All rows share weight and bias, so
their gradients are sums over every axis but the last.

Shapes: x (..., D), g (..., D), weight (D,), of one dtype; any number of axes in front, or none.
The results are dx (..., D), dweight (D,), dbias (D,). Do not call autograd.
Source: Ba et al. 2016, arXiv 1607.06450; kernels/minidistil_kernels/add_layer_norm.py.
"""

import torch

EPS = 1e-12


def layer_norm_backward(
    x: torch.Tensor, weight: torch.Tensor, g: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of x, weight and bias, from the gradient g of the result."""
    width = x.shape[-1]
    centred = x - x.mean(-1, keepdim=True)
    r = torch.rsqrt(centred.square().mean(-1, keepdim=True) + EPS)
    n = centred * r
    # answer
    h = g * weight
    along = (h * n).mean(-1, keepdim=True)
    dx = r * (h - h.mean(-1, keepdim=True) - n * along)
    dweight = (g * n).reshape(-1, width).sum(0)
    dbias = g.reshape(-1, width).sum(0)
    # end
    return dx, dweight, dbias
