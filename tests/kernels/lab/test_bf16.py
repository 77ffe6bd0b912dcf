"""bfloat16 in the interpreter, after the repair: bit for bit what PyTorch computes.

The repair lasts for the rest of the process; that bfloat16 is refused before it is shown in a
process of its own.
"""

import subprocess
import sys

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from triton.runtime.errors import InterpreterError

from minidistil_kernels import interpreter, softmax
from minidistil_kernels.lab import memory_checks, repair_bf16
from minidistil_kernels.lab.bf16 import from_float32, to_float32


@pytest.fixture(autouse=True)
def _repaired():
    repair_bf16()


@triton.jit
def cast_kernel(x_ptr, y_ptr, N: tl.constexpr, ROUNDING: tl.constexpr):
    offs = tl.arange(0, N)
    y = tl.load(x_ptr + offs).to(y_ptr.dtype.element_ty, fp_downcast_rounding=ROUNDING)
    tl.store(y_ptr + offs, y)


@triton.jit
def binary_kernel(x_ptr, y_ptr, out_ptr, truth_ptr, N: tl.constexpr):
    """Row by row: every operation on two bfloat16 operands; then the comparisons."""
    offs = tl.arange(0, N)
    x = tl.load(x_ptr + offs)
    y = tl.load(y_ptr + offs)
    tl.store(out_ptr + 0 * N + offs, x + y)
    tl.store(out_ptr + 1 * N + offs, x - y)
    tl.store(out_ptr + 2 * N + offs, x * y)
    tl.store(out_ptr + 3 * N + offs, (x / y).to(tl.bfloat16))
    tl.store(out_ptr + 4 * N + offs, tl.minimum(x, y).to(tl.bfloat16))
    tl.store(out_ptr + 5 * N + offs, tl.maximum(x, y).to(tl.bfloat16))
    tl.store(out_ptr + 6 * N + offs, tl.where(x < y, x, y))
    tl.store(out_ptr + 7 * N + offs, x * 1.7)
    tl.store(out_ptr + 8 * N + offs, tl.abs(x))
    tl.store(out_ptr + 9 * N + offs, -x)
    tl.store(out_ptr + 10 * N + offs, tl.fma(x, y, y))
    tl.store(truth_ptr + 0 * N + offs, x < y)
    tl.store(truth_ptr + 1 * N + offs, x <= y)
    tl.store(truth_ptr + 2 * N + offs, x > y)
    tl.store(truth_ptr + 3 * N + offs, x >= y)
    tl.store(truth_ptr + 4 * N + offs, x == y)
    tl.store(truth_ptr + 5 * N + offs, x != y)


@triton.jit
def dot_kernel(a_ptr, b_ptr, c_ptr, N: tl.constexpr):
    offs = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(c_ptr + offs, tl.dot(tl.load(a_ptr + offs), tl.load(b_ptr + offs)))


@triton.jit
def reduce_kernel(x_ptr, out_ptr, N: tl.constexpr):
    """Along the rows of (N, N): Triton's own functions, `reduce` and a scan on bfloat16."""
    rows = tl.arange(0, N)
    x = tl.load(x_ptr + rows[:, None] * N + rows[None, :])
    tl.store(out_ptr + 0 * N + rows, tl.sum(x, 1))
    tl.store(out_ptr + 1 * N + rows, tl.max(x, 1))
    tl.store(out_ptr + 2 * N + rows, tl.min(x, 1))
    tl.store(out_ptr + 3 * N + rows, tl.reduce(x, 1, tl.standard._elementwise_max))
    tl.store(out_ptr + 4 * N + rows, tl.reduce(x, 1, tl.standard._sum_combine))
    tl.store(out_ptr + 5 * N + rows, tl.argmax(x, 1).to(tl.float32))
    scan = tl.associative_scan(x, 1, tl.standard._sum_combine)
    tl.store(out_ptr + 6 * N + rows, tl.max(scan, 1))


@triton.jit
def add_kernel(x_ptr, y_ptr, N: tl.constexpr):
    tl.atomic_add(x_ptr + tl.arange(0, N), tl.load(y_ptr + tl.arange(0, N)))


def cast(x: torch.Tensor, dtype: torch.dtype, rounding: str | None = None) -> torch.Tensor:
    y = torch.empty(len(x), dtype=dtype)
    cast_kernel[(1,)](x, y, N=len(x), ROUNDING=rounding)
    return y


def all_patterns() -> torch.Tensor:
    return torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)


def assert_same_bits(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal bits; NaN may have any."""
    assert actual.dtype == expected.dtype
    assert torch.equal(actual.isnan(), expected.isnan())
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[expected.element_size()]
    finite = ~expected.isnan()
    assert torch.equal(actual[finite].view(integer), expected[finite].view(integer))


def rounding_cases() -> torch.Tensor:
    """float32: any bits; and for every upper half the ties and their neighbours."""
    anything = torch.randint(-(2**31), 2**31, (2**17,), dtype=torch.int64).to(torch.int32)
    upper = torch.arange(2**16, dtype=torch.int64) << 16
    edges = [upper + lower for lower in (0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x0001, 0x0000)]
    bits = torch.cat([anything.long(), *edges])
    assert len(bits) == 2**19  # tl.arange takes powers of two
    return bits.to(torch.int32).view(torch.float32)


def test_every_pattern_widens_to_float32():
    assert_same_bits(cast(all_patterns(), torch.float32), all_patterns().float())


@pytest.mark.parametrize("rounding", [None, "rtne"])
def test_float32_rounds_to_nearest_even(rounding):
    x = rounding_cases()
    assert_same_bits(cast(x, torch.bfloat16, rounding), x.bfloat16())


def test_rounding_toward_zero_on_request_keeps_nan():
    x = torch.tensor([1.999, -1.999, float("inf"), 3e-39])
    expected = torch.tensor([1.9921875, -1.9921875, float("inf"), 2.93874e-39]).bfloat16()
    assert_same_bits(cast(x, torch.bfloat16, "rtz"), expected)
    # This NaN has all of its payload in the half that is cut off.
    nan = torch.tensor([0x7F800001], dtype=torch.int32).view(torch.float32)
    assert cast(nan, torch.bfloat16, "rtz").isnan().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int32, torch.int64])
def test_casts_to_and_from_other_types(dtype):
    x = all_patterns()
    inside = x[x.isfinite() & (x.abs() < 6e4)]  # what float16 and the integers hold
    inside = inside[: 2 ** (len(inside).bit_length() - 1)].clone()
    there = cast(inside, dtype)
    assert torch.equal(there, inside.to(dtype))
    assert_same_bits(cast(there, torch.bfloat16), inside.to(dtype).bfloat16())


def test_float16_range_ends_in_infinity_and_nan():
    x = torch.tensor([float("inf"), float("-inf"), float("nan"), 0.0]).bfloat16()
    assert_same_bits(cast(x, torch.float16), x.half())


def test_arithmetic_and_comparisons_of_random_patterns():
    n = 2**14
    x, y = all_patterns()[torch.randint(2**16, (2, n))]
    out = torch.empty(11, n, dtype=torch.bfloat16)
    truth = torch.empty(6, n, dtype=torch.bool)
    with np.errstate(all="ignore"):  # infinities, NaN and 0 / 0 are among the patterns
        binary_kernel[(1,)](x, y, out, truth, N=n)
    factor = torch.tensor(1.7, dtype=torch.bfloat16)  # a constant takes the tensor's dtype
    expected = {0: x + y, 1: x - y, 2: x * y, 3: x / y, 6: torch.where(x < y, x, y)}
    expected |= {7: x * factor, 8: x.abs()}
    for row, wanted in expected.items():
        assert_same_bits(out[row], wanted)
    comparisons = [x < y, x <= y, x > y, x >= y, x == y, x != y]
    for actual, wanted in zip(truth, comparisons, strict=True):
        assert torch.equal(actual, wanted)
    numbers = ~(x.isnan() | y.isnan())  # what minimum makes of NaN differs between versions
    assert torch.equal(out[4][numbers], torch.minimum(x, y)[numbers])
    assert torch.equal(out[5][numbers], torch.maximum(x, y)[numbers])
    assert torch.equal(out[9][numbers], -x[numbers])  # 3.7.1 computes 0 - x: no -0
    # Triton 3.7.1 has no real fma: where the product fits float32, there is no difference.
    fits = numbers & (x.abs().log2() + y.abs().log2()).abs().lt(100)
    exact = x.double() * y.double() + y.double()
    assert torch.equal(out[10][fits], exact.float().bfloat16()[fits])


def test_dot_multiplies_values_and_accumulates_in_float32():
    a, b = torch.randn(2, 32, 32).bfloat16()
    c = torch.empty(32, 32)
    dot_kernel[(1,)](a, b, c, N=32)
    exact = a.double() @ b.double()
    assert (c - exact).abs().max() <= 1e-5 * exact.abs().max()


def test_reductions_are_of_values():
    x = torch.randn(32, 32).bfloat16()
    out = torch.empty(7, 32)
    reduce_kernel[(1,)](x, out, N=32)
    sums = x.float().sum(1)
    for actual in (out[0], out[4]):  # rounded once: half a unit of the last of 8 bits
        torch.testing.assert_close(actual, sums, rtol=2**-8, atol=0.0)
    torch.testing.assert_close(out[6], x.float().cumsum(1).amax(1), rtol=2**-8, atol=0.0)
    assert torch.equal(out[1], x.float().amax(1))
    assert torch.equal(out[2], x.float().amin(1))
    assert torch.equal(out[3], x.float().amax(1))
    assert torch.equal(out[5].long(), x.float().argmax(1))


def test_atomics_raise():
    x = torch.ones(16, dtype=torch.bfloat16)
    with pytest.raises(InterpreterError, match="atomic_rmw on bfloat16 is not repaired"):
        add_kernel[(1,)](x, x.clone(), N=16)


def test_patterns_and_values_by_hand():
    # 1 + 2^-8 lies half way between 1 (even) and 1 + 2^-7 (odd): down. A hair more: up.
    values = np.array([1 + 2**-8, 1 + 2**-8 + 2**-20, 1 + 3 * 2**-8], dtype=np.float32)
    assert from_float32(values).tolist() == [0x3F80, 0x3F81, 0x3F82]
    assert from_float32(np.array(np.finfo(np.float32).max)).item() == 0x7F80  # infinity
    assert to_float32(np.array([0x3F80, 0xC000], dtype=np.uint16)).tolist() == [1.0, -2.0]


def test_a_kernel_of_ours_runs_in_bfloat16():
    x = torch.randn(3, 50).bfloat16()
    exact = x.double().softmax(-1)
    assert (softmax(x) - exact).abs().max() <= 2**-8 * exact.max()


def test_twice_is_once():
    before = list(interpreter.bf16_repairs)
    repair_bf16()
    assert interpreter.bf16_repairs == before == ["lab.repair_bf16"]


def test_the_lab_refuses_bfloat16_before_the_repair(monkeypatch):
    monkeypatch.setattr(interpreter, "bf16_repairs", [])
    x = torch.ones(16, dtype=torch.bfloat16)
    with memory_checks(), pytest.raises(ValueError, match=r"cast_kernel: x_ptr is bfloat16"):
        cast_kernel[(1,)](x, x, N=16, ROUNDING=None)


def test_without_the_repair_our_kernels_refuse():
    program = """
import torch, minidistil_kernels
try:
    minidistil_kernels.softmax(torch.ones(2, 2, dtype=torch.bfloat16))
except ValueError as error:
    assert "repair_bf16" in str(error)
else:
    raise SystemExit("bfloat16 was not refused")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
