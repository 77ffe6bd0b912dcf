"""What the meter counts equals what one counts with pencil and paper, to the byte."""

import json

import pytest
import torch
import triton
import triton.language as tl

from minidistil_kernels import softmax
from minidistil_kernels.lab import OutOfBoundsError, meter, side_by_side


@triton.jit
def copy_kernel(x_ptr, y_ptr, N, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y_ptr + offs, tl.load(x_ptr + offs, mask=offs < N), mask=offs < N)


@triton.jit
def scale_rows_kernel(x_ptr, w_ptr, y_ptr, N: tl.constexpr):
    """y[r] = x[r] * w, with one scalar of w loaded by every lane, and all of w by every program."""
    offs = tl.arange(0, N)
    row = tl.program_id(0) * N
    scale = tl.load(w_ptr + tl.zeros((N,), tl.int32))
    y = tl.load(x_ptr + row + offs) * tl.load(w_ptr + offs) * scale
    tl.store(y_ptr + row + offs, y)


@triton.jit
def matmul_kernel(
    a_ptr, b_ptr, c_ptr, stride_am, stride_ak, stride_bk, stride_bn, M, N, K, scale,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """c = scale * a @ b, a tile of BLOCK x BLOCK per program."""
    offs_m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    offs_n = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    acc = tl.zeros((BLOCK, BLOCK), tl.float32)
    for start in range(0, K, BLOCK):
        offs_k = start + tl.arange(0, BLOCK)
        a = tl.load(
            a_ptr + offs_m[:, None] * stride_am + offs_k[None, :] * stride_ak,
            mask=(offs_m[:, None] < M) & (offs_k[None, :] < K), other=0.0,
        )  # fmt: skip
        b = tl.load(
            b_ptr + offs_k[:, None] * stride_bk + offs_n[None, :] * stride_bn,
            mask=(offs_k[:, None] < K) & (offs_n[None, :] < N), other=0.0,
        )  # fmt: skip
        acc = tl.dot(a, b, acc, input_precision="ieee")
    tl.store(
        c_ptr + offs_m[:, None] * N + offs_n[None, :], acc * scale,
        mask=(offs_m[:, None] < M) & (offs_n[None, :] < N),
    )  # fmt: skip


@triton.jit
def count_kernel(x_ptr, counts_ptr, N, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs, mask=offs < N)
    tl.atomic_add(counts_ptr + x, 1, mask=offs < N)


@triton.jit
def arithmetic_kernel(x_ptr, y_ptr, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs)
    y = tl.fma(x, x, x)  # 2
    y = tl.maximum(y, 1.0) - x / 3.0  # 3
    y = -tl.sqrt(y) + tl.exp2(x)  # 2 and 2 special
    y = tl.where(y > 0, y, tl.abs(x))  # none
    y += tl.cumsum(x, 0)  # 1, and BLOCK - 1 for the scan
    tl.store(y_ptr + offs, y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.bool])
def test_copy(dtype):
    n, block, size = 100, 64, dtype.itemsize
    with meter() as m:
        copy_kernel[(2,)](torch.ones(n, dtype=dtype), torch.empty(n, dtype=dtype), n, BLOCK=block)
    c = m.kernels["copy_kernel"]
    assert (c.launches, c.programs) == (1, 2)
    assert c.bytes_loaded == c.unique_loaded == c.bytes_stored == c.unique_stored == n * size
    assert (c.lanes, c.masked_lanes) == (2 * 128, 2 * 28)
    assert c.flops == 0


def test_a_broadcast_load_requests_every_lane_and_touches_one_element():
    rows, n = 3, 16
    with meter() as m:
        scale_rows_kernel[(rows,)](
            torch.ones(rows, n), torch.ones(n), torch.empty(rows, n), N=n
        )  # fmt: skip
    c = m.total
    assert c.bytes_loaded == 3 * rows * n * 4  # x, w and the scalar for each lane
    assert c.unique_loaded == (rows * n + n) * 4
    assert c.bytes_stored == c.unique_stored == rows * n * 4
    assert c.masked_lanes == 0
    assert c.flops == c.flops_arithmetic == 2 * rows * n


@pytest.mark.parametrize("masked", [False, True])
def test_the_softmax_kernel_moves_its_lower_bound(masked):
    rows, n, block = 3, 33, 64
    x = torch.randn(rows, n, requires_grad=True)
    mask = torch.ones(rows, n, dtype=torch.bool) if masked else None
    with meter() as m:
        softmax(x, mask).sum().backward()
    forward = m.kernels["softmax_forward_kernel"]
    assert forward.bytes_loaded == forward.unique_loaded == rows * n * (5 if masked else 4)
    assert forward.bytes_stored == forward.unique_stored == rows * n * 4
    # Every lane: subtract the maximum, divide; and block - 1 for the maximum and for the sum.
    assert forward.flops_arithmetic == rows * (2 * block + 2 * (block - 1))
    assert forward.flops_special == rows * block
    backward = m.kernels["softmax_backward_kernel"]
    assert backward.bytes_loaded == backward.unique_loaded == 2 * rows * n * 4
    assert backward.bytes_stored == backward.unique_stored == rows * n * 4
    # y * dy, the sum, the subtraction, the last product.
    assert backward.flops_arithmetic == rows * (3 * block + block - 1)
    assert m.total.programs == 2 * rows


def naive_attention(query, key, value, block):
    """Three launches; the scores go to memory and back twice."""
    s, d = query.shape
    scores, context = torch.empty(s, s), torch.empty(s, d)
    tiles = triton.cdiv(s, block), triton.cdiv(s, block)
    matmul_kernel[tiles](query, key, scores, d, 1, 1, d, s, s, d, d**-0.5, BLOCK=block)
    weights = softmax(scores)
    tiles = triton.cdiv(s, block), triton.cdiv(d, block)
    matmul_kernel[tiles](weights, value, context, s, 1, d, 1, s, d, s, 1.0, BLOCK=block)
    return context


@pytest.mark.parametrize("s", [32, 50])
def test_three_kernel_attention(s):
    d, block = 16, 16
    query, key, value = torch.randn(3, s, d)
    with meter() as m:
        context = naive_attention(query, key, value, block)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(context, expected)
    matmul, total = m.kernels["matmul_kernel"], m.total
    tiles = triton.cdiv(s, block)
    # Every row of tiles of the scores reads all keys, every column all queries; the context has
    # one column of tiles, each of which reads its weights once and all values.
    loaded = (2 * tiles * s * d) + (s * s + tiles * s * d)
    assert matmul.bytes_loaded == 4 * loaded
    assert matmul.unique_loaded == 4 * (2 * s * d + s * s + s * d)
    assert matmul.bytes_stored == matmul.unique_stored == 4 * (s * s + s * d)
    assert matmul.flops_dot == 2 * 2 * (tiles * block) ** 2 * d  # whole tiles, masked or not
    assert (matmul.launches, matmul.programs) == (2, tiles * tiles + tiles)
    assert total.requested == matmul.requested + 4 * 2 * s * s
    assert total.launches == 3
    # In whole tiles nothing is masked off.
    assert (matmul.masked_lanes == 0) == (s % block == 0)


def test_unique_bytes_of_views_that_share_a_storage():
    storage = torch.randn(96)
    with meter() as m:
        copy_kernel[(1,)](storage[:64], storage[:64], 64, BLOCK=64)
        copy_kernel[(1,)](storage[32:], torch.empty(64), 64, BLOCK=64)
    assert m.total.unique_loaded == 2 * 64 * 4  # per launch: each starts with a cold cache
    assert m.total.unique_stored == 2 * 64 * 4


def test_unique_bytes_of_one_storage_with_two_element_sizes():
    storage = torch.zeros(32)
    with meter() as m:
        copy_kernel[(1,)](storage[:16], storage[16:].view(torch.float16), 16, BLOCK=16)
    assert m.total.unique_loaded == m.total.bytes_loaded == 16 * 4
    assert m.total.unique_stored == m.total.bytes_stored == 16 * 2


def test_atomics_count_apart():
    x = torch.tensor([0, 0, 0, 1, 3], dtype=torch.int32)
    with meter() as m:
        count_kernel[(1,)](x, torch.zeros(4, dtype=torch.int32), 5, BLOCK=16)
    c = m.total
    assert (c.bytes_atomic, c.unique_atomic) == (5 * 4, 3 * 4)
    assert (c.bytes_loaded, c.bytes_stored) == (5 * 4, 0)
    assert (c.lanes, c.masked_lanes) == (32, 22)
    assert c.requested == 40
    assert c.unique == 5 * 4 + 3 * 4


def test_what_counts_as_arithmetic():
    block = 32
    with meter() as m:
        arithmetic_kernel[(1,)](torch.rand(block) + 1, torch.empty(block), BLOCK=block)
    assert m.total.flops_arithmetic == 8 * block + block - 1
    assert m.total.flops_special == 2 * block
    assert m.total.flops_dot == 0


def test_launches_of_one_kernel_add_up_and_nested_meters_each_count():
    x, y = torch.ones(16), torch.empty(16)
    with meter() as outer:
        copy_kernel[(1,)](x, y, 16, BLOCK=16)
        with meter() as inner:
            copy_kernel[(1,)](x, y, 16, BLOCK=16)
    assert outer.kernels["copy_kernel"].launches == 2
    assert outer.total.requested == 2 * inner.total.requested == 2 * 2 * 64


def test_nothing_launched_is_zero():
    with meter() as m:
        pass
    assert m.total.requested == m.total.flops == 0
    assert m.as_dict() == {}
    assert "total" in str(m)


def test_a_kernel_out_of_bounds_has_no_traffic():
    with meter() as m, pytest.raises(OutOfBoundsError, match="loads element 16 of x_ptr"):
        copy_kernel[(1,)](torch.ones(16), torch.empty(32), 17, BLOCK=32)
    assert m.kernels == {}


def test_tables_and_json():
    x, y = torch.ones(1000), torch.empty(1000)
    with meter() as once:
        copy_kernel[(1,)](x, y, 1000, BLOCK=1024)
    with meter() as twice:
        copy_kernel[(1,)](x, y, 1000, BLOCK=1024)
        copy_kernel[(1,)](x, y, 1000, BLOCK=1024)
    header, row = str(once).splitlines()
    assert header.split()[:4] == ["kernel", "launches", "programs", "loaded"]
    assert row.split()[:5] == ["copy_kernel", "1", "1", "4", "kB"]
    assert row.endswith("2.3%")
    lines = side_by_side({"naive": twice, "fused": once}, lower_bound=8000).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["naive", "fused", "lower"]
    assert "2.00" in lines[1]
    assert "1.00" in lines[2]
    loaded = json.loads(json.dumps(twice.as_dict()))["copy_kernel"]
    assert (loaded["launches"], loaded["bytes_loaded"]) == (2, 8000)


def test_a_run_beside_a_bound_of_0():
    """Nothing to compute: no run is a multiple of its bound."""
    with meter() as m:
        pass
    _, run, bound = side_by_side({"empty": m}, lower_bound=0).splitlines()
    assert run.split() == ["empty", "0", "0", "B", "0", "B", "0", "0.00"]
    assert bound.split()[:4] == ["lower", "bound", "0", "B"]


def test_kernels_of_one_name_are_counted_together():
    def another():
        @triton.jit
        def copy_kernel(x_ptr):
            tl.store(x_ptr, tl.load(x_ptr))

        return copy_kernel

    x = torch.ones(16)
    with meter() as m:
        copy_kernel[(1,)](x, torch.empty(16), 16, BLOCK=16)
        another()[(1,)](x)
    assert m.kernels["copy_kernel"].launches == 2
    assert m.kernels["copy_kernel"].bytes_loaded == 17 * 4
