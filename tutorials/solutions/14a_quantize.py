"""Weights in eight bits, a scale a row.

    s = max |w| / 127,    q = round(w / s),    w is about q * s,    |w - q * s| <= s / 2

A row of a weight matrix makes one output, and each row has a scale s of its own: a single large
weight makes its own row coarse, and no other. q is a whole number from -127 to 127. -128 is not
used, or a row and its negative would differ. R x C weights of float32 take 4 R C bytes, like this
R C + 4 R: about a quarter.

Rounded means to the nearest: cut off, the error is up to s, and always towards 0.

The trap: in a row of zeros every scale would do, but max |w| / 127 is 0, and 0 / 0 is NaN. Give it
some scale above 0, and its q is 0.

Shapes: weight (R, C), float32; q (R, C), int8; scale (R,), float32, above 0. Back again: (R, C),
float32.
Source: Jacob et al. 2017, arXiv 1712.05877, section 2; minidistil/quantization.py.
"""

import torch
from torch import Tensor


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """q and the scales of the rows."""
    # answer
    peak = weight.abs().amax(1)
    scale = torch.where(peak == 0, 1.0, peak / 127)
    q = (weight / scale[:, None]).round().to(torch.int8)
    return q, scale
    # end


def dequantize_rows(q: Tensor, scale: Tensor) -> Tensor:
    """The weights, as near as eight bits come."""
    # answer
    return q * scale[:, None]
    # end
