"""The gradient of softmax, by hand.

With y = softmax(x) and g the gradient of a loss with respect to y, row by row,

    dx_i = y_i * (g_i - sum_j y_j g_j)

The sum is one number a row. FlashAttention's backward pass calls it delta, and computes it before
anything else. You get y, not x: softmax need not be done again.

Shapes: y (..., N), g (..., N); the result is (..., N), the gradient with respect to the logits.
Do not call autograd.
Source: Dao et al. 2022, arXiv 2205.14135, appendix B.2.
"""

import torch


def softmax_backward(y: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """The gradient of the logits, from the weights y and their gradient g."""
    # answer
    delta = (y * g).sum(-1, keepdim=True)
    return y * (g - delta)
    # end
