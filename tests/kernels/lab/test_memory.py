"""Every fault here runs without a word in the bare interpreter, as it would on a GPU."""

import inspect

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from triton.runtime.errors import InterpreterError
from triton.tools.tensor_descriptor import TensorDescriptor

from minidistil_kernels import softmax
from minidistil_kernels.lab import OutOfBoundsError, RaceError, memory_checks, meter


@triton.jit
def copy_kernel(x_ptr, y_ptr, N, LOAD: tl.constexpr, STORE: tl.constexpr, BLOCK: tl.constexpr):
    """y[:N] = x[:N]; LOAD and STORE shift the addresses by as many elements."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    keep = offs < N
    x = tl.load(x_ptr + offs + LOAD, mask=keep)
    tl.store(y_ptr + offs + STORE, x, mask=keep)


@triton.jit
def unmasked_kernel(x_ptr, y_ptr, N, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs)  # the lost mask
    tl.store(y_ptr + offs, x, mask=offs < N)


@triton.jit
def rows_kernel(x_ptr, y_ptr, stride_x, stride_y, N: tl.constexpr):
    row = tl.program_id(0)
    offs = tl.arange(0, N)
    x = tl.load(x_ptr + row * stride_x + offs)
    tl.store(y_ptr + row * stride_y + offs, x)


@triton.jit
def neighbour_kernel(x_ptr, y_ptr, STEP: tl.constexpr, N: tl.constexpr):
    """Reads what another program stores: one that ran before (STEP < 0) or will run."""
    program = tl.program_id(0)
    offs = tl.arange(0, N)
    tl.store(y_ptr + program * N + offs, tl.load(x_ptr + program * N + offs))
    other = program + STEP
    if (other >= 0) & (other < tl.num_programs(0)):
        tl.store(x_ptr + program * N + offs, tl.load(y_ptr + other * N + offs))


@triton.jit
def last_writes_kernel(x_ptr):
    """Everybody reads, the last program then writes."""
    x = tl.load(x_ptr)
    if tl.program_id(0) + 1 == tl.num_programs(0):
        tl.store(x_ptr, x + 1)


@triton.jit
def mixed_kernel(x_ptr):
    if tl.program_id(0) == 0:
        tl.atomic_add(x_ptr, 1.0)
    else:
        tl.store(x_ptr, 1.0)


@triton.jit
def lanes_kernel(y_ptr, SAME: tl.constexpr):
    offs = tl.arange(0, 16)
    tl.store(y_ptr + offs // 2, offs * 0 if SAME else offs)


@triton.jit
def histogram_kernel(x_ptr, counts_ptr, READ: tl.constexpr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.program_id(0) * N + tl.arange(0, N))
    tl.atomic_add(counts_ptr + x, 1)
    if READ:
        tl.load(counts_ptr)


@triton.jit
def claim_kernel(owner_ptr, PLAIN: tl.constexpr):
    program = tl.program_id(0)
    tl.atomic_cas(owner_ptr, 0, program + 1)
    if PLAIN:
        tl.store(owner_ptr, program)


@triton.jit
def flag_kernel(flag_ptr):
    tl.atomic_store(flag_ptr, tl.atomic_load(flag_ptr) + 1)


@triton.jit
def bytes_kernel(x_ptr, STEP: tl.constexpr):
    """Every program stores one byte of an element; with a step of 0, the same."""
    pointer = x_ptr.to(tl.pointer_type(tl.int8)) + tl.program_id(0) * STEP
    tl.store(pointer, tl.program_id(0).to(tl.int8))


@triton.jit
def element_then_bytes_kernel(x_ptr):
    """Program 0 stores the whole first element, the others a byte of the second."""
    program = tl.program_id(0)
    if program == 0:
        tl.store(x_ptr, 7)
    else:
        tl.store(x_ptr.to(tl.pointer_type(tl.int8)) + 4 + program - 1, program.to(tl.int8))


@triton.jit
def byte_of_anothers_element_kernel(x_ptr):
    if tl.program_id(0) == 0:
        tl.store(x_ptr, 7)
    else:
        tl.store(x_ptr.to(tl.pointer_type(tl.int8)) + 3, tl.program_id(0).to(tl.int8))


@triton.jit
def either_kernel(x_ptr, y_ptr, out_ptr, SHIFT: tl.constexpr, N: tl.constexpr):
    """One load from two arguments."""
    offs = tl.arange(0, 16)
    pointers = tl.where(offs < 8, x_ptr + offs, y_ptr + offs + SHIFT)
    tl.store(out_ptr + offs, tl.load(pointers, mask=offs < N, other=0.0))


@triton.jit
def load_shifted(x_ptr, offs):
    return tl.load(x_ptr + offs + 1)


@triton.jit
def calling_kernel(x_ptr, y_ptr):
    offs = tl.arange(0, 16)
    tl.store(y_ptr + offs, load_shifted(x_ptr, offs))


@triton.jit
def address_kernel(address, y_ptr):
    pointer = address.to(tl.pointer_type(tl.float32))
    tl.store(y_ptr, tl.load(pointer))


@triton.jit
def descriptor_kernel(x_desc, y_ptr, START: tl.constexpr):
    tile = x_desc.load([START, 0])
    tl.store(y_ptr + tl.arange(0, 16)[:, None] * 16 + tl.arange(0, 16)[None, :], tile)


@triton.jit
def failing_kernel(x_ptr):
    tl.static_assert(False, "of the kernel's own")


def line_of(kernel, text: str) -> str:
    """file:line of the only line of a kernel that contains `text`."""
    lines, first = inspect.getsourcelines(kernel.fn)
    (number,) = [first + i for i, line in enumerate(lines) if text in line]
    return f"{__file__}:{number}: "


@pytest.fixture(autouse=True)
def _checks():
    with memory_checks():
        yield


def test_a_right_kernel_passes_and_computes_the_same():
    x, y = torch.randn(100), torch.zeros(100)
    copy_kernel[(2,)](x, y, 100, LOAD=0, STORE=0, BLOCK=64)
    assert torch.equal(x, y)


@pytest.mark.parametrize(("shift", "program", "element"), [(1, 1, 100), (-1, 0, -1), (90, 0, 100)])
def test_a_load_out_of_bounds(shift, program, element):
    with pytest.raises(OutOfBoundsError) as caught:
        copy_kernel[(2,)](torch.randn(100), torch.zeros(100), 100, LOAD=shift, STORE=0, BLOCK=64)
    message = str(caught.value)
    assert line_of(copy_kernel, "tl.load") in message
    assert message.startswith("copy_kernel at ")
    assert f"program ({program}, 0, 0) loads element {element} of x_ptr, out of bounds" in message


def test_a_store_out_of_bounds_is_stopped_before_it_does_damage():
    storage = torch.zeros(104)
    with pytest.raises(OutOfBoundsError, match="stores element 100 of y_ptr") as caught:
        copy_kernel[(2,)](torch.ones(100), storage[:100], 100, LOAD=0, STORE=4, BLOCK=64)
    assert line_of(copy_kernel, "tl.store") in str(caught.value)
    assert not storage[100:].any()


def test_an_overrun_into_the_next_argument():
    storage = torch.zeros(200)
    x, y = storage[:100], storage[100:]
    with pytest.raises(OutOfBoundsError, match="loads element 100 of x_ptr"):
        copy_kernel[(2,)](x, y, 100, LOAD=50, STORE=0, BLOCK=64)
    with pytest.raises(OutOfBoundsError, match="stores element -1 of y_ptr"):
        copy_kernel[(2,)](x, y, 100, LOAD=0, STORE=-1, BLOCK=64)


def test_a_lost_mask_names_how_many_lanes():
    with pytest.raises(OutOfBoundsError, match=r"element 100 .* 28 of 64 active lanes") as caught:
        unmasked_kernel[(2,)](torch.randn(100), torch.zeros(100), 100, BLOCK=64)
    assert line_of(unmasked_kernel, "tl.load") in str(caught.value)


def test_the_elements_a_view_skips_are_out_of_bounds():
    x, y = torch.randn(4, 20), torch.zeros(4, 16)
    rows_kernel[(4,)](x[:, :16], y, 20, 16, N=16)
    assert torch.equal(y, x[:, :16])
    with pytest.raises(OutOfBoundsError, match=r"element 15 of x_ptr, which that view skips"):
        rows_kernel[(4,)](x[:, :15], y, 20, 16, N=16)
    # The last row's 16th element is beyond the view, but not beyond the tensor it was cut from.
    with pytest.raises(OutOfBoundsError, match=r"element 15 of x_ptr, out of bounds"):
        rows_kernel[(1,)](x[:1, :15], y, 20, 16, N=16)


def test_a_transposed_tensor_and_one_of_the_other_memory_order_are_whole():
    x, y = torch.randn(16, 4), torch.zeros(4, 16)
    rows_kernel[(4,)](x.t().contiguous().t(), y, 16, 16, N=16)
    assert torch.equal(y, x.t())


def test_a_tensor_without_elements_has_none_to_load():
    y = torch.zeros(64)
    copy_kernel[(1,)](torch.empty(0), y, 0, LOAD=0, STORE=0, BLOCK=64)
    with pytest.raises(OutOfBoundsError, match=r"element 0 of x_ptr, out of bounds.*shape \(0,\)"):
        copy_kernel[(1,)](torch.empty(0), y, 1, LOAD=0, STORE=0, BLOCK=64)


def test_one_tensor_as_two_arguments():
    x = torch.randn(100)
    before = x.clone()
    copy_kernel[(2,)](x, x, 100, LOAD=0, STORE=0, BLOCK=64)  # in place: every program its own part
    assert torch.equal(x, before)
    with pytest.raises(RaceError, match=r"loads element 64 of x_ptr|stores element 64 of y_ptr"):
        copy_kernel[(2,)](x, x, 99, LOAD=1, STORE=0, BLOCK=64)


def test_two_programs_that_store_the_same_value_race():
    x, y = torch.ones(4, 16), torch.zeros(1, 16)
    with pytest.raises(RaceError) as caught:
        rows_kernel[(4,)](x, y, 16, 0, N=16)
    message = str(caught.value)
    assert line_of(rows_kernel, "tl.store") in message
    assert "program (1, 0, 0) stores element 0 of y_ptr, which program (0, 0, 0) stores" in message


def test_programs_of_an_expanded_output_race():
    y = torch.zeros(1, 16).expand(4, 16)
    with pytest.raises(RaceError, match="element 0 of y_ptr"):
        rows_kernel[(4,)](torch.ones(4, 16), y, 16, y.stride(0), N=16)


def test_a_program_that_loads_what_another_stores():
    x, y = torch.ones(3, 16), torch.zeros(3, 16)
    with pytest.raises(
        RaceError, match=r"\(1, 0, 0\) stores .* y_ptr, which program \(0, 0, 0\) l"
    ):
        neighbour_kernel[(3,)](x, y, STEP=1, N=16)
    with pytest.raises(RaceError, match=r"\(1, 0, 0\) loads .* y_ptr, which program \(0, 0, 0\) s"):
        neighbour_kernel[(3,)](x, y, STEP=-1, N=16)
    neighbour_kernel[(3,)](x, y, STEP=0, N=16)  # its own


def test_all_readers_are_remembered_not_only_the_last():
    with pytest.raises(RaceError, match=r"\(2, 0, 0\) stores .* which more than one program loads"):
        last_writes_kernel[(3,)](torch.zeros(1))
    last_writes_kernel[(1,)](torch.zeros(1))


def test_two_launches_do_not_race():
    x, y = torch.ones(1, 16), torch.zeros(1, 16)
    for _ in range(2):
        rows_kernel[(1,)](x, y, 16, 16, N=16)


def test_each_its_byte_of_one_element():
    """Through a pointer cast to int8 nobody meets anybody, though all share an int32."""
    x = torch.zeros(2, dtype=torch.int32)
    with meter() as m:
        bytes_kernel[(8,)](x, STEP=1)
    assert x.view(torch.int8).tolist() == list(range(8))
    assert m.total.unique_stored == m.total.bytes_stored == 8
    with pytest.raises(RaceError, match=r"\(1, 0, 0\) stores element 0 of x_ptr, which program"):
        bytes_kernel[(8,)](x, STEP=0)


def test_an_element_and_then_bytes():
    """What was noted of elements holds for their bytes."""
    x = torch.zeros(2, dtype=torch.int32)
    with meter() as m:
        element_then_bytes_kernel[(4,)](x)
    assert m.total.unique_stored == m.total.bytes_stored == 4 + 3
    assert x.view(torch.int8).tolist() == [7, 0, 0, 0, 1, 2, 3, 0]
    y = torch.zeros(1, dtype=torch.int32)
    with pytest.raises(RaceError, match=r"\(1, 0, 0\) stores .* which program \(0, 0, 0\) stores"):
        byte_of_anothers_element_kernel[(2,)](y)


def test_lanes_of_one_store():
    lanes_kernel[(1,)](torch.zeros(8, dtype=torch.int32), SAME=True)
    with pytest.raises(RaceError, match="element 0 of y_ptr from two lanes with different values"):
        lanes_kernel[(1,)](torch.zeros(8, dtype=torch.int32), SAME=False)


def test_atomics_may_meet_each_other_but_no_plain_load():
    x = torch.randint(8, (4, 16), dtype=torch.int32)
    counts = torch.zeros(8, dtype=torch.int32)
    histogram_kernel[(4,)](x, counts, READ=False, N=16)
    assert torch.equal(counts, torch.bincount(x.flatten(), minlength=8).int())
    with pytest.raises(
        RaceError, match=r"updates atomically element 0 of counts_ptr, which .* loads"
    ):
        histogram_kernel[(4,)](torch.zeros_like(x), counts, READ=True, N=16)
    with pytest.raises(OutOfBoundsError, match="updates atomically element 8 of counts_ptr"):
        histogram_kernel[(4,)](x * 0 + 8, counts, READ=False, N=16)


def test_an_atomic_and_a_plain_store_race():
    with pytest.raises(RaceError, match=r"stores element 0 of x_ptr, .* \(0, 0, 0\) updates"):
        mixed_kernel[(2,)](torch.zeros(1))


def test_compare_and_swap_is_atomic_too():
    owner = torch.zeros(1, dtype=torch.int32)
    claim_kernel[(3,)](owner, PLAIN=False)
    assert owner.item() == 1
    with pytest.raises(RaceError, match="updates atomically element 0 of owner_ptr, which program"):
        claim_kernel[(3,)](owner, PLAIN=True)
    with pytest.raises(OutOfBoundsError, match="element 0 of owner_ptr"):
        claim_kernel[(1,)](owner[:0], PLAIN=False)


@pytest.mark.skipif(not hasattr(tl, "atomic_load"), reason="Triton 3.7.1 has no tl.atomic_load")
def test_atomic_loads_and_stores():
    flag = torch.zeros(1, dtype=torch.int32)
    with meter() as m:
        flag_kernel[(3,)](flag)
    assert flag.item() == 3
    assert m.total.bytes_atomic == 3 * 2 * 4
    assert m.total.bytes_loaded == m.total.bytes_stored == 0
    with pytest.raises(OutOfBoundsError, match="updates atomically element 0 of flag_ptr"):
        flag_kernel[(1,)](flag[:0])


def test_a_load_from_two_arguments():
    x, y, out = torch.zeros(8), torch.ones(16), torch.zeros(16)
    with meter() as m:
        either_kernel[(1,)](x, y, out, SHIFT=0, N=12)
    assert out.tolist() == [0.0] * 8 + [1.0] * 4 + [0.0] * 4
    assert (m.total.lanes, m.total.masked_lanes) == (32, 4)
    assert m.total.bytes_loaded == m.total.unique_loaded == 12 * 4
    with pytest.raises(OutOfBoundsError, match=r"element 16 of y_ptr, .* 1 of 8 active lanes"):
        either_kernel[(1,)](x, y, out, SHIFT=1, N=16)


def test_the_line_is_that_of_the_device_function():
    with pytest.raises(OutOfBoundsError, match="element 16 of x_ptr") as caught:
        calling_kernel[(1,)](torch.zeros(16), torch.zeros(16))
    assert line_of(load_shifted, "tl.load") in str(caught.value)


def test_an_address_that_is_no_arguments():
    x, y = torch.ones(4), torch.zeros(1)
    with pytest.raises(OutOfBoundsError, match="came from no argument of the launch"):
        address_kernel[(1,)](x.data_ptr(), y)


def test_descriptors_mask_themselves():
    x, y = torch.randn(24, 16), torch.zeros(16, 16)
    descriptor = TensorDescriptor.from_tensor(x, [16, 16])
    descriptor_kernel[(1,)](descriptor, y, START=16)
    assert torch.equal(y[:8], x[16:])
    assert not y[8:].any()


def test_other_errors_of_a_kernel_stay_what_they_are():
    with pytest.raises(InterpreterError, match="of the kernel's own"):
        failing_kernel[(1,)](torch.zeros(1))


def test_the_kernels_of_this_package_pass_forward_and_backward():
    x = torch.randn(3, 4, 33, requires_grad=True)
    mask = torch.rand(3, 4, 33) > 0.3
    expected = x.masked_fill(~mask, float("-inf")).softmax(-1)
    y = softmax(x, mask)
    torch.testing.assert_close(y, expected)
    y.square().sum().backward()
    assert x.grad is not None
    assert np.isfinite(x.grad.numpy()).all()
