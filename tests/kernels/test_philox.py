"""The twin of Triton's random numbers: bit for bit theirs, and Philox's published ones."""

from itertools import product

import pytest
import torch
import triton
import triton.language as tl

from minidistil_kernels import philox
from minidistil_kernels.testing.drawing import DEVICE

# Both ends of 32 bits, and of the half of them that is not negative as int32.
CORNERS = list(product([0, 1, 2**31 - 1, 2**31, 2**32 - 1], repeat=2))


@triton.jit
def rand_kernel(keys_ptr, counters_ptr, out_ptr, N, BLOCK: tl.constexpr):
    """Row r: the numbers of all counters under key r."""
    offs = tl.arange(0, BLOCK)
    counters = tl.load(counters_ptr + offs, mask=offs < N, other=0)
    numbers = tl.rand(tl.load(keys_ptr + tl.program_id(0)), counters)
    tl.store(out_ptr + tl.program_id(0) * N + offs, numbers, mask=offs < N)


def words(kind):
    """(n, 2): the low and the high half of n numbers of 64 bits."""
    if kind == "corners":
        return torch.tensor(CORNERS, device=DEVICE)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(2**32, (40, 2), generator=generator).to(DEVICE)


@pytest.mark.parametrize("keys", ["corners", "random"])
@pytest.mark.parametrize("counters", ["corners", "random"])
def test_equals_triton(keys, counters):
    (seed, stream), (column, row) = words(keys).T, words(counters).T
    out = torch.empty(len(seed), len(row), device=DEVICE)
    rand_kernel[(len(seed),)](stream << 32 | seed, row << 32 | column, out, len(row), BLOCK=64)
    expected = philox.uniform(seed[:, None], stream[:, None], row, column)
    assert torch.equal(out, expected)
    assert (expected >= 0).all() and (expected < 1).all()


def test_published_vector():
    """Philox4x32-10 of key 0 and counter 0 begins with 0x6627e8d5.

    Source: the known-answer tests of Random123, the library of Philox's authors.
    """
    zero = torch.zeros(1, dtype=torch.int64)
    expected = torch.tensor([0x6627E8D5 / 2**31])
    torch.testing.assert_close(philox.uniform(zero, zero, zero, zero), expected)
