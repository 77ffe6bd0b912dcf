"""GELU, and its slope.

    gelu(x)  = x Phi(x)               Phi(x) = (1 + erf(x / sqrt(2))) / 2
    gelu'(x) = Phi(x) + x phi(x)      phi(x) = exp(-x^2 / 2) / sqrt(2 pi)

Phi(x) is the share of a normal distribution that lies below x: GELU lets so much of x through. The
slope is the product rule; phi, the bell curve, is the slope of Phi.

The trap is the approximation by tanh, which many implementations mean by GELU. It is off by up to
0.0005, fifty times what this library allows. DistilBERT was trained with the exact one.

A backward pass multiplies the slope by g, the gradient that arrives from above.

Shapes: x and g of one shape, float32 or float64; the results have x's shape and dtype.
Do not call F.gelu or autograd.
Source: Hendrycks and Gimpel 2016, arXiv 1606.08415; minidistil/feed_forward.py.
"""

import math

import torch


def normal_cdf(x: torch.Tensor) -> torch.Tensor:
    """Phi: the share of a normal distribution that lies below x."""
    # answer
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    # end


def gelu(x: torch.Tensor) -> torch.Tensor:
    """The exact GELU of each number."""
    # answer
    return x * normal_cdf(x)
    # end


def gelu_backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """The gradient of x, from x and the gradient g of gelu(x)."""
    # answer
    density = torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    return g * (normal_cdf(x) + x * density)
    # end
