"""Triton's random numbers in plain PyTorch, so that the specification drops what the kernels drop.

Philox turns a key and a counter into random bits: no state, so any program, in any order, can draw
the number of any element. Ten rounds, each two multiplications of 32 by 32 bits.

Source: Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3", Philox4x32-10.
Not here: the kernels' own call, `survives` in `attention_forward.py`.
"""

import torch
from torch import Tensor

LOW = 0xFFFFFFFF  # int64 holds 32 unsigned bits, which PyTorch has no arithmetic for


def uniform(seed: Tensor, stream: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """`tl.rand(stream << 32 | seed, row << 32 | column)`: float32 in [0, 1).

    All arguments are int64 from 0 to 2^32 - 1 and broadcast.
    """
    key = [seed & LOW, stream]
    c0, c1 = torch.broadcast_tensors(column, row)
    c2 = c3 = torch.zeros_like(c0)
    for _ in range(10):
        high0, low0 = _multiply(0xD2511F53, c0)
        high2, low2 = _multiply(0xCD9E8D57, c2)
        c0, c1, c2, c3 = high2 ^ c1 ^ key[0], low2, high0 ^ c3 ^ key[1], low0
        key = [(key[0] + 0x9E3779B9) & LOW, (key[1] + 0xBB67AE85) & LOW]
    signed = torch.where(c0 < 2**31, c0, c0 - 2**32)
    # As `tl.rand` does it: fold the negative half over, then scale to just below 1.
    return torch.where(signed < 0, ~signed, signed).to(torch.float32) * 4.6566127342e-10


def _multiply(constant: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """The high and the low 32 bits of the 64-bit product of two 32-bit numbers."""
    # In halves of x: the whole product would pass the sign bit of int64.
    low = constant * (x & 0xFFFF)
    high = constant * (x >> 16) + (low >> 16)
    return high >> 16, (high & 0xFFFF) << 16 | (low & 0xFFFF)
