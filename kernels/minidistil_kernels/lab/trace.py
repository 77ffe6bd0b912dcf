"""What each program of a kernel touches, step by step: a recording to look at or to draw.

    with trace() as t:
        softmax(x)
    for event in t.launches[0].events:
        print(event.program, event.kind, event.operand, event.boxes, event.lines[0].text)

A tensor of any rank is seen as a matrix here: its last axis across, all others together down. So
an access is a few rectangles of that matrix, and the tile of lanes that made it is another one.

The interpreter runs programs one after another; on a GPU they run side by side, in any order.
Recording keeps every access: for small inputs. `minidistil.visual.tiles` draws it.

Not here: totals (`meter.py`), what is wrong with an access (`memory.py`), values.
"""

import inspect
import math
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from minidistil_kernels.lab.events import Access, Argument, Kind, Launch, Observer, Work
from minidistil_kernels.lab.hooks import kernel_frames, observe
from minidistil_kernels.lab.memory import Bounds, span_bytes


class Box(NamedTuple):
    """A rectangle of a matrix."""

    rows: range
    columns: range


@dataclass(frozen=True)
class Function:
    """A kernel, or a device function it calls.

    Attributes:
        file: Without its folder.
        first: Line number of the first line of `source`, as its file counts.
        source: From `def` on, without the indentation that all lines share.
    """

    name: str
    file: str
    first: int
    source: str


@dataclass(frozen=True)
class Line:
    """Where a program is, in one function."""

    function: Function
    number: int

    @property
    def text(self) -> str:
        """The source of the line, stripped."""
        return self.function.source.splitlines()[self.number - self.function.first].strip()


@dataclass(frozen=True)
class Operand:
    """A tensor argument of a launch."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    itemsize: int

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows and columns: all axes but the last, and the last."""
        return matrix(self.shape)


@dataclass(frozen=True)
class Event:
    """One load, store or atomic operation of one program; or one dot, which touches no memory.

    Attributes:
        operand: The kernel's parameter; None for a dot, and where every lane is masked off.
        boxes: The elements touched, each once however many lanes ask for it.
        tile: Shape of the tile of lanes.
        masked: The lanes, of the tile as a matrix, that touch nothing of `operand`.
        bytes: Requested: one element for each lane that is not masked off.
        flops: Of a dot, else 0.
        lines: Where: the kernel's own line first, then that of each device function it is in.
    """

    program: tuple[int, int, int]
    kind: Kind | Literal["dot"]
    operand: str | None
    boxes: tuple[Box, ...]
    tile: tuple[int, ...]
    masked: tuple[Box, ...]
    bytes: int
    flops: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Recording:
    """One launch that ran to its end."""

    kernel: str
    grid: tuple[int, int, int]
    operands: tuple[Operand, ...]
    events: tuple[Event, ...]


@dataclass
class Trace:
    """What `trace` recorded, one entry a launch."""

    launches: list[Recording] = field(default_factory=list)


@contextmanager
def trace() -> Iterator[Trace]:
    """Record every kernel launched in this block; read the result in it or after it.

    Raises:
        OutOfBoundsError: A kernel leaves its arguments: there is no element to record.
        ValueError: A bfloat16 argument before `repair_bf16()`.
        RuntimeError: The interpreter is off.
    """
    with observe(Bounds()), observe(_Recorder()) as recorder:
        yield recorder.trace


def matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """The rows and columns a shape has as a matrix: all axes but the last, and the last."""
    return math.prod(shape[:-1]), shape[-1] if shape else 1


class _Recorder(Observer):
    def __init__(self) -> None:
        self.trace = Trace()

    def launch_started(self, launch: Launch) -> None:
        self._events: list[Event] = []
        self._elements: dict[Argument, np.ndarray] = {}
        self._functions: dict[CodeType, Function] = {}

    def accessed(self, launch: Launch, access: Access) -> None:
        argument, shape = access.argument, access.active.shape
        boxes = ()
        if argument is not None:
            if argument not in self._elements:
                self._elements[argument] = _elements(argument.tensor)
            boxes = _boxes(
                self._elements[argument][_touched(access)], matrix(argument.tensor.shape)[1]
            )
        self._events.append(
            Event(
                launch.program,
                access.kind,
                None if argument is None else argument.name,
                boxes,
                shape,
                _boxes(np.flatnonzero(~access.active), matrix(shape)[1]),
                access.offsets.size * access.size,
                0,
                self._lines(launch),
            )
        )

    def computed(self, launch: Launch, work: Work, operations: int) -> None:
        if work == "dot":
            lines = self._lines(launch)
            self._events.append(
                Event(launch.program, "dot", None, (), (), (), 0, operations, lines)
            )

    def launch_ended(self, launch: Launch) -> None:
        operands = (
            Operand(
                argument.name,
                tuple(argument.tensor.shape),
                str(argument.tensor.dtype).removeprefix("torch."),
                argument.tensor.element_size(),
            )
            for argument in launch.arguments
        )
        self.trace.launches.append(
            Recording(launch.kernel, launch.grid, tuple(operands), tuple(self._events))
        )

    def _lines(self, launch: Launch) -> tuple[Line, ...]:
        """The stack from the innermost function out to the kernel, turned around."""
        lines: list[Line] = []
        for frame in kernel_frames():
            code = frame.f_code
            if code not in self._functions:
                self._functions[code] = _function(code)
            lines.insert(0, Line(self._functions[code], frame.f_lineno))
            if code.co_name == launch.kernel:
                break
        return tuple(lines)


def _function(code: CodeType) -> Function:
    lines, first = inspect.getsourcelines(code)
    source = textwrap.dedent("".join(lines)).rstrip()
    return Function(code.co_name, Path(code.co_filename).name, first, source)


def _elements(tensor: Tensor) -> np.ndarray:
    """For each place in memory of a tensor, in elements: which element it is, in row-major order.

    Strides may be any. Where several elements share a place, the first one stands for it.
    """
    span = span_bytes(tensor) // tensor.element_size()
    places = np.lib.stride_tricks.as_strided(
        np.arange(span), tensor.shape, [8 * stride for stride in tensor.stride()]
    ).reshape(-1)
    elements = np.full(span, -1)
    elements[places[::-1]] = np.arange(places.size)[::-1]  # of equal places the last one counts
    return elements


def _touched(access: Access) -> np.ndarray:
    """The places of an access, in elements; through a pointer cast to a wider type, several."""
    assert access.argument is not None
    width = access.argument.tensor.element_size()
    steps = np.arange(max(1, access.size // width))
    return np.unique(access.offsets[:, None] // width + steps)


def _boxes(elements: np.ndarray, columns: int) -> tuple[Box, ...]:
    """Elements of a matrix, by their row-major numbers, as rectangles: from the top, from the left.

    A run of neighbours in a row continues the rectangle that ends right above it.
    """
    elements = np.unique(elements)
    breaks = (np.diff(elements) != 1) | (np.diff(elements // columns) != 0)
    tops: dict[tuple[int, int, int], int] = {}  # (row below, first column, stop) -> top row
    for run in np.split(elements, np.flatnonzero(breaks) + 1) if elements.size else ():
        row, first = divmod(int(run[0]), columns)
        tops[row + 1, first, first + len(run)] = tops.pop((row, first, first + len(run)), row)
    boxes = (Box(range(top, end), range(first, stop)) for (end, first, stop), top in tops.items())
    return tuple(sorted(boxes, key=lambda box: (box.rows.start, box.columns.start)))
