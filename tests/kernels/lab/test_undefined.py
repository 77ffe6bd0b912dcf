"""Each kernel here is right in the bare interpreter, by luck; on a GPU it is not."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

from minidistil_kernels.lab import undefined_as_nan


@triton.jit
def sum_kernel(x_ptr, y_ptr, N, OTHER: tl.constexpr, BLOCK: tl.constexpr):
    """The sum of N elements, in a tile of more."""
    offs = tl.arange(0, BLOCK)
    tl.store(y_ptr, tl.sum(tl.load(x_ptr + offs, mask=offs < N, other=OTHER), 0))


@triton.jit
def copy_kernel(x_ptr, y_ptr, N, STORED, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    tl.store(y_ptr + offs, tl.load(x_ptr + offs, mask=offs < N), mask=offs < STORED)


@triton.jit
def add_to_kernel(x_ptr, y_ptr, BLOCK: tl.constexpr):
    """Takes what it is told to fill for zeros."""
    offs = tl.arange(0, BLOCK)
    tl.store(y_ptr + offs, tl.load(y_ptr + offs) + tl.load(x_ptr + offs))


@triton.jit
def descriptor_kernel(x_desc, y_ptr):
    tile = x_desc.load([16, 0])
    tl.store(y_ptr + tl.arange(0, 16)[:, None] * 16 + tl.arange(0, 16)[None, :], tile)


@pytest.fixture(autouse=True)
def _nan():
    with undefined_as_nan():
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_a_sum_over_masked_lanes(dtype):
    x, y = torch.ones(10, dtype=dtype), torch.zeros(1, dtype=dtype)
    sum_kernel[(1,)](x, y, 10, OTHER=None, BLOCK=16)
    assert y.isnan()
    sum_kernel[(1,)](x, y, 10, OTHER=0.0, BLOCK=16)
    assert y == 10
    sum_kernel[(1,)](x, y, 16, OTHER=None, BLOCK=8)  # no lane is masked
    assert y == 8


@pytest.mark.parametrize(
    ("dtype", "filler"),
    [
        (torch.bfloat16, float("nan")),
        (torch.int8, 2**7 - 1),
        (torch.int32, 2**31 - 1),
        (torch.int64, 2**63 - 1),
        (torch.bool, True),
    ],
)
def test_what_masked_lanes_hold(dtype, filler):
    x, y = torch.zeros(4, dtype=dtype), torch.zeros(8, dtype=dtype)
    copy_kernel[(1,)](x, y, 4, 8, BLOCK=8)
    assert torch.equal(y[:4], x)
    np.testing.assert_equal(y[4:].tolist(), [filler] * 4)


def test_a_masked_store_of_masked_lanes_is_right():
    y = torch.zeros(8)
    copy_kernel[(1,)](torch.ones(4), y, 4, 4, BLOCK=8)
    assert y.tolist() == [1.0] * 4 + [0.0] * 4


def test_descriptors_say_what_they_pad_with():
    x, y = torch.randn(24, 16), torch.ones(16, 16)
    descriptor_kernel[(1,)](TensorDescriptor.from_tensor(x, [16, 16]), y)
    assert torch.equal(y[:8], x[16:]) and not y[8:].any()


def test_an_output_that_is_read_before_it_is_written():
    x, y = torch.ones(8), torch.empty(8)
    add_to_kernel[(1,)](x, y, BLOCK=8)
    assert y.isnan().all()
    y = torch.zeros(8)
    add_to_kernel[(1,)](x, y, BLOCK=8)
    assert torch.equal(y, x)


def test_an_output_whose_end_is_never_written():
    x = torch.ones(8)
    y = torch.empty_like(x)
    copy_kernel[(1,)](x, y, 8, 7, BLOCK=8)
    assert torch.equal(y[:7], x[:7]) and y[7].isnan()


def test_the_blocks_leave_nothing_behind(tmp_path):
    """In a process of its own: elsewhere in the tests one such block is always open."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, str(program)], check=True, env=environment)


PROGRAM = """
import pytest
import torch
import triton
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder

from minidistil_kernels.lab import memory_checks, undefined_as_nan


@triton.jit
def sum_kernel(x_ptr, y_ptr, N, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    tl.store(y_ptr, tl.sum(tl.load(x_ptr + offs, mask=offs < N), 0))


def total():
    y = torch.zeros(1)
    sum_kernel[(1,)](torch.ones(10), y, 10, BLOCK=16)
    return y.item()


def state():
    return (
        dict(vars(InterpreterBuilder)),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


before = state()
assert total() == 10, "the interpreter is kind"
with pytest.raises(ZeroDivisionError), undefined_as_nan():
    with memory_checks():
        assert total() != 10
    with undefined_as_nan():
        assert total() != 10
    assert total() != 10
    1 / 0
assert state() == before
with memory_checks():
    assert total() == 10

torch.use_deterministic_algorithms(True)
torch.utils.deterministic.fill_uninitialized_memory = False
with undefined_as_nan():
    assert torch.empty(1).isnan()
assert torch.are_deterministic_algorithms_enabled()
assert not torch.is_deterministic_algorithms_warn_only_enabled()
assert not torch.utils.deterministic.fill_uninitialized_memory
"""
