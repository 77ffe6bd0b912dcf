"""Positions without learning: sines and cosines.

Row p of the table stands for position p. With k = floor(j / 2), column j holds

    sin(p / 10000^(2k / D))   where j is even
    cos(p / 10000^(2k / D))   where j is odd

So the columns 2k and 2k + 1 share a wavelength, from 2 pi in the first pair to nearly 20000 pi in
the last. A step to the next position turns each pair by an angle of its own, so the product of two
rows depends only on how far apart they are. DistilBERT has a pair side by side; other models put
all sines in front of all cosines. D may be odd: the last column is then a sine.

Compute in float64 and round once: an angle of 500 in float32 may be off by 1e-5.

Shapes: the result is (length, D), float32. length and D are at least 1.
Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.5; minidistil/embeddings.py.
"""

import torch


def sinusoid(length: int, width: int) -> torch.Tensor:
    """The table of `length` positions; `width` is D."""
    # answer
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    columns = torch.arange(width, dtype=torch.float64)
    angles = positions / 10000.0 ** (2 * (columns // 2) / width)
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos()).float()
    # end
