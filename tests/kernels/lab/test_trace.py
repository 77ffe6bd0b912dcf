"""What the trace records equals what one reads off the kernel: who, what, where, in which order."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from hypothesis import given
from hypothesis import strategies as st

import minidistil_kernels
from minidistil_kernels import attention, softmax
from minidistil_kernels.lab import OutOfBoundsError, meter
from minidistil_kernels.lab.trace import Box, trace


@triton.jit
def gather_kernel(x_ptr, index_ptr, y_ptr, N, BLOCK: tl.constexpr):
    """y[i] = x[index[i]]."""
    offs = tl.arange(0, BLOCK)
    index = tl.load(index_ptr + offs, mask=offs < N, other=0)
    tl.store(y_ptr + offs, tl.load(x_ptr + index, mask=offs < N), mask=offs < N)


@triton.jit
def copy_where_kernel(x_ptr, mask_ptr, y_ptr, BLOCK: tl.constexpr):
    """y[i] = x[i] where the mask is True."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    keep = tl.load(mask_ptr + offs)
    tl.store(y_ptr + offs, tl.load(x_ptr + offs, mask=keep), mask=keep)


@triton.jit
def copy_corner_kernel(x_ptr, y_ptr, stride_x0, stride_x1, BLOCK: tl.constexpr):
    """The first BLOCK rows and columns of x, of any strides."""
    rows, columns = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    x = tl.load(x_ptr + rows * stride_x0 + columns * stride_x1)
    tl.store(y_ptr + rows * BLOCK + columns, x)


@triton.jit
def count_kernel(counts_ptr, BLOCK: tl.constexpr):
    """Two lanes add to one element; the other element stays as it is."""
    tl.atomic_add(counts_ptr + tl.zeros((BLOCK,), tl.int32), 1)


@triton.jit
def fill_pairs_kernel(x_ptr, N, BLOCK: tl.constexpr):
    """Zeroes, two elements of 16 bits at a time."""
    offs = tl.arange(0, BLOCK)
    tl.store(x_ptr.to(tl.pointer_type(tl.int32)) + offs, 0, mask=offs < N)


def elements(boxes, shape):
    """How many boxes each element of a matrix lies in."""
    counts = np.zeros(shape, dtype=int)
    for box in boxes:
        counts[box.rows.start : box.rows.stop, box.columns.start : box.columns.stop] += 1
    return counts


def only_launch(t):
    (launch,) = t.launches
    return launch


def test_softmax_program_by_program():
    """Program p loads row p and stores row p, with 32 lanes for 20 columns; nothing else."""
    with trace() as t:
        softmax(torch.randn(6, 20))
    launch = only_launch(t)
    assert (launch.kernel, launch.grid) == ("softmax_forward_kernel", (6, 1, 1))
    assert [(o.name, o.shape, o.dtype, o.itemsize) for o in launch.operands] == [
        ("x_ptr", (6, 20), "float32", 4),
        ("y_ptr", (6, 20), "float32", 4),
    ]
    steps = [(e.program, e.kind, e.operand) for e in launch.events]
    assert steps == [
        ((p, 0, 0), *access) for p in range(6) for access in (("load", "x_ptr"), ("store", "y_ptr"))
    ]
    for event in launch.events:
        row = event.program[0]
        assert event.boxes == (Box(range(row, row + 1), range(20)),)
        assert event.tile == (32,)
        assert event.masked == (Box(range(1), range(20, 32)),)
        assert (event.bytes, event.flops) == (80, 0)


def test_every_element_is_read_once_and_written_once():
    with trace() as t:
        softmax(torch.randn(6, 20))
    for kind in ("load", "store"):
        boxes = [box for e in only_launch(t).events if e.kind == kind for box in e.boxes]
        assert (elements(boxes, (6, 20)) == 1).all()


def test_a_masked_element_is_not_touched():
    mask = torch.rand(5, 16) > 0.4
    with trace() as t:
        copy_where_kernel[(5,)](torch.randn(5, 16), mask, torch.empty(5, 16), BLOCK=16)
    for name in ("x_ptr", "y_ptr"):
        events = [e for e in only_launch(t).events if e.operand == name]
        boxes = [box for e in events for box in e.boxes]
        np.testing.assert_array_equal(elements(boxes, (5, 16)), mask)
        masked = np.concatenate([elements(e.masked, (1, 16)) for e in events])
        np.testing.assert_array_equal(masked, ~mask)


def test_lines_are_those_of_the_file():
    with trace() as t:
        softmax(torch.randn(2, 20))
    lines = (
        (Path(minidistil_kernels.__file__).parent / "softmax.py")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    load, store = only_launch(t).events[:2]
    for event, start in ((load, "x = tl.load(x_ptr"), (store, "tl.store(y_ptr")):
        (line,) = event.lines
        assert line.text == lines[line.number - 1].strip()
        assert line.text.startswith(start)
        assert (line.function.name, line.function.file) == ("softmax_forward_kernel", "softmax.py")
        assert lines[line.function.first - 1] == line.function.source.splitlines()[0]


def test_a_device_function_stands_behind_the_line_that_called_it():
    with trace() as t:
        attention(*torch.randn(3, 1, 1, 20, 16))
    first = only_launch(t).events[0]
    assert [line.function.name for line in first.lines] == [
        "attention_forward_kernel",
        "load_rows",
    ]
    assert first.lines[0].text.startswith("q = load_rows(query_ptr")
    assert first.lines[1].text.startswith("tile = tl.load(")


def test_attention_walks_over_the_keys():
    """Each program: its queries, then every key tile with two dots, then lse and context."""
    with trace() as t:
        attention(*torch.randn(3, 1, 1, 80, 16))
    launch = only_launch(t)
    own = [box.rows for e in launch.events if e.operand == "query_ptr" for box in e.boxes]
    assert [rows.start for rows in own] == [0, *(rows.stop for rows in own[:-1])]
    assert own[-1].stop == 80
    for program in range(launch.grid[0]):
        events = [e for e in launch.events if e.program == (program, 0, 0)]
        assert events[0].operand == "query_ptr"
        assert {e.operand for e in events[-2:]} == {"context_ptr", "lse_ptr"}
        for name in ("key_ptr", "value_ptr"):
            walk = [e.boxes[0].rows for e in events if e.operand == name]
            assert (walk[0].start, walk[-1].stop) == (0, 80)
            assert all(a.stop == b.start for a, b in pairwise(walk))
            assert sum(e.kind == "dot" for e in events) == 2 * len(walk)
        context = next(e for e in events if e.operand == "context_ptr")
        assert context.boxes == (Box(own[program], range(16)),)


def test_the_events_add_up_to_what_the_meter_counts():
    x = torch.randn(2, 2, 40, 16, requires_grad=True)
    key_mask = torch.rand(2, 40) > 0.3
    with meter() as m, trace() as t:
        attention(x, x, x, key_mask).sum().backward()
    assert {launch.kernel for launch in t.launches} == set(m.kernels)
    for launch in t.launches:
        counts = m.kernels[launch.kernel]
        loads, stores, dots = (
            [e for e in launch.events if e.kind == kind] for kind in ("load", "store", "dot")
        )
        assert sum(e.bytes for e in loads) == counts.bytes_loaded
        assert sum(e.bytes for e in stores) == counts.bytes_stored
        assert sum(e.flops for e in dots) == counts.flops_dot
        masked = sum(len(b.rows) * len(b.columns) for e in loads + stores for b in e.masked)
        assert masked == counts.masked_lanes
        unique = sum(
            (elements([b for e in stores if e.operand == o.name for b in e.boxes], o.matrix) > 0)
            .sum() * o.itemsize
            for o in launch.operands
        )  # fmt: skip
        assert unique == counts.unique_stored


@given(st.sets(st.integers(0, 41), min_size=1, max_size=16))
def test_boxes_hold_the_elements_touched_each_once(wanted):
    x, index = torch.zeros(6, 7), torch.tensor(sorted(wanted))
    with trace() as t:
        gather_kernel[(1,)](x, index, torch.empty(16), len(wanted), BLOCK=16)
    (boxes,) = [e.boxes for e in only_launch(t).events if e.operand == "x_ptr"]
    expected = np.zeros(42, dtype=int)
    expected[list(wanted)] = 1
    np.testing.assert_array_equal(elements(boxes, (6, 7)), expected.reshape(6, 7))


def test_rectangles_are_merged_down_the_rows():
    """Columns 1-2 and 4 of rows 0-2, and row 4: three rectangles, from the top, from the left."""
    wanted = [7 * r + c for r in range(3) for c in (1, 2, 4)] + list(range(28, 35))
    with trace() as t:
        gather_kernel[(1,)](torch.zeros(6, 7), torch.tensor(wanted), torch.empty(16), 16, BLOCK=16)
    (boxes,) = [e.boxes for e in only_launch(t).events if e.operand == "x_ptr"]
    assert boxes == (
        Box(range(3), range(1, 3)),
        Box(range(3), range(4, 5)),
        Box(range(4, 5), range(7)),
    )


@pytest.mark.parametrize(
    ("x", "boxes"),
    [
        (torch.zeros(9, 6).t(), (Box(range(4), range(4)),)),
        (torch.zeros(9, 12)[1:, 1::2], (Box(range(4), range(4)),)),
        # One row in memory, whatever the shape says: the first stands for all.
        (torch.zeros(1, 5).expand(8, 5), (Box(range(1), range(4)),)),
        (torch.zeros(2, 3, 4), (Box(range(4), range(4)),)),
    ],
    ids=["transposed", "skipping", "expanded", "rank 3"],
)
def test_elements_are_found_through_any_strides(x, boxes):
    with trace() as t:
        copy_corner_kernel[(1,)](x, torch.empty(4, 4), *x.stride()[-2:], BLOCK=4)
    assert only_launch(t).events[0].boxes == boxes


def test_lanes_that_meet_are_one_element_and_many_bytes():
    with trace() as t:
        count_kernel[(1,)](torch.zeros(2, dtype=torch.int32), BLOCK=2)
    (event,) = only_launch(t).events
    assert (event.kind, event.bytes) == ("atomic", 8)
    assert event.boxes == (Box(range(1), range(1)),)


def test_a_wider_pointer_touches_several_elements_a_lane():
    with trace() as t:
        fill_pairs_kernel[(1,)](torch.ones(10, dtype=torch.int16), 3, BLOCK=4)
    (event,) = only_launch(t).events
    assert event.boxes == (Box(range(1), range(6)),)
    assert event.masked == (Box(range(1), range(3, 4)),)


def test_where_every_lane_is_masked_off_there_is_no_operand():
    with trace() as t:
        fill_pairs_kernel[(1,)](torch.ones(10, dtype=torch.int16), 0, BLOCK=4)
    (event,) = only_launch(t).events
    assert (event.operand, event.boxes, event.bytes) == (None, (), 0)
    assert event.masked == (Box(range(1), range(4)),)


def test_a_launch_that_fails_is_not_recorded():
    with trace() as t:
        with pytest.raises(OutOfBoundsError, match="x_ptr"):
            fill_pairs_kernel[(1,)](torch.ones(5, dtype=torch.int16), 3, BLOCK=4)
        assert t.launches == []
