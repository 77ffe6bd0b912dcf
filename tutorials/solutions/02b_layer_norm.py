"""LayerNorm, and the digits that it needs.

For each row x of width D, with its mean m and its variance v,

    v = sum_i (x_i - m)^2 / D
    y_i = (x_i - m) / sqrt(v + EPS) * weight_i + bias_i

The variance is the biased one, divided by D. EPS is 1e-12, BERT's, and stands inside the root. Take
the mean off before you square: of a row around 1,000, the mean of squares less the square of the
mean has lost its digits in float32. For the same reason the statistics of bfloat16, which keeps two
to three digits, are computed in float32. Nothing becomes narrower: float64 stays float64.

Shapes: x (..., D), weight (D,), bias (D,), all of one dtype: bfloat16, float32 or float64. The
result has x's shape and dtype. Do not call PyTorch's layer_norm.
Source: Ba et al. 2016, arXiv 1607.06450; docs/notation.md.
"""

import torch

EPS = 1e-12


def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Give each row mean 0 and variance 1, then scale and shift its columns."""
    # answer
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    centred = wide - wide.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    normed = centred * torch.rsqrt(variance + EPS)
    return (normed * weight + bias).to(x.dtype)
    # end
