"""Dropout that stores no mask.

    y_ij = x_ij / (1 - p) where u_ij >= p, else 0        dx_ij likewise, from dy_ij

with u_ij random in [0, 1). The backward pass must strike out what the forward pass struck out. For
12 heads, 32 texts and S = 512 a stored mask has 100 MB. A seed has 8 bytes, if the random numbers
are no sequence but a function: Philox has one for each seed, row and column. Both passes ask again,

    u_ij = philox.uniform(seed, stream, i, j)        int64 tensors that broadcast; stream is 0 here

and a kernel asks for the rows of its own tile, which are not the same forward and backward. So the
trap: i counts the rows of the whole matrix. `first` says which of them is the tile's row 0.

Shapes: x, dy (rows, columns), float32 or float64, which the result keeps; 0 <= p < 1; `spared` is
boolean.
Source: Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3";
kernels/minidistil_kernels/philox.py.
"""

import torch
from torch import Tensor

from minidistil_kernels import philox


def spared(shape: tuple[int, int], p: float, seed: int, first: int = 0) -> Tensor:
    """Which elements dropout keeps, of a tile of this shape that begins at row `first`."""
    # answer
    i = first + torch.arange(shape[0])[:, None]
    j = torch.arange(shape[1])
    return philox.uniform(torch.tensor(seed), torch.tensor(0), i, j) >= p
    # end


def dropout(x: Tensor, p: float, seed: int, first: int = 0) -> Tensor:
    """A tile of y, from a tile of x that begins at row `first`."""
    # answer
    return torch.where(spared(x.shape, p, seed, first), x / (1 - p), 0.0)
    # end


def dropout_backward(dy: Tensor, p: float, seed: int, first: int = 0) -> Tensor:
    """The same tile of dx, from that of dy."""
    # answer
    return torch.where(spared(dy.shape, p, seed, first), dy / (1 - p), 0.0)
    # end
