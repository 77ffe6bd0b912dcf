"""Your first kernel: softmax of rows, one program a row.

A program loads its row as one tile of BLOCK lanes, BLOCK being a power of two that is at least N.
The lanes past the end of the row are masked: what they load must be chosen so that they neither win
the maximum nor add to the sum.

Bytes: each number is read once and written once, 2 * M * N * 4 of float32, the lower bound.

Shapes: x (M, N), contiguous float32, N >= 1; the result likewise.
Source: Triton's tutorial on the fused softmax; the tutorial 07 of this course.
Needs Triton. Without a GPU it runs in Triton's interpreter.
"""

import torch
import triton
import triton.language as tl


@triton.jit
def row_softmax_kernel(x_ptr, y_ptr, N, BLOCK: tl.constexpr):
    """Program i turns row i of x into row i of y."""
    row = tl.program_id(0)
    # answer
    offs = tl.arange(0, BLOCK)
    inside = offs < N
    x = tl.load(x_ptr + row * N + offs, mask=inside, other=float("-inf"))
    weights = tl.exp(x - tl.max(x, 0))
    y = weights / tl.sum(weights, 0)
    tl.store(y_ptr + row * N + offs, y, mask=inside)
    # end


def softmax(x: torch.Tensor) -> torch.Tensor:
    """Launch a program for each row."""
    y = torch.empty_like(x)
    rows, length = x.shape
    row_softmax_kernel[(rows,)](x, y, length, BLOCK=triton.next_power_of_2(length))
    return y
