"""Out-of-bounds accesses and races of any kernel, reported at the kernel's own line.

On a GPU both are silent: a load past the end of a tensor reads its neighbour, a store damages it,
and two programs that write one element leave the value of whichever came last. In the interpreter
programs run one after another, so that the result of a race even looks right. Here:

    with memory_checks():
        softmax(x)

or for every test, in an autouse fixture that yields inside that block.

Bounds. The tensors are those of the launch. An access through an argument must hit an element of
    that very tensor: not its neighbour, not the rest of its storage, and not, in a strided view,
    the elements that the view skips. A kernel that wants more is handed more.
Races. Within one launch, two programs must not store the same element, not even the same value,
    and none may load what another stores, whichever ran first here: on a GPU they run in any
    order. Atomic operations may meet each other, but not another program's plain loads and stores.
    Within one program, the lanes of one store must not bring different values to one element.

Not here: what compiled kernels do; the order that locks and barriers of a kernel's own enforce (a
kernel that has them needs `races=False`); a race whose two programs never ran with these inputs.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from torch import Tensor

from minidistil_kernels.lab.cells import Cells
from minidistil_kernels.lab.events import Access, Argument, KernelError, Kind, Launch, Observer
from minidistil_kernels.lab.hooks import kernel_frames, observe

_VERB: dict[Kind, str] = {
    "load": "loads",
    "store": "stores",
    "atomic": "updates atomically",
}
_CONFLICTS: dict[Kind, tuple[Kind, ...]] = {
    "load": ("store", "atomic"),
    "store": ("store", "load", "atomic"),
    "atomic": ("store", "load"),
}
_SEVERAL = -1  # in place of a program's number


class OutOfBoundsError(KernelError):
    """A kernel touched memory outside the tensor it was given."""


class RaceError(KernelError):
    """The result of a kernel depends on the order in which programs or lanes run."""


@contextmanager
def memory_checks(*, races: bool = True) -> Iterator[None]:
    """Check every kernel launched in this block, before it touches memory.

    Args:
        races: False for kernels that order their programs themselves, with locks.

    Raises:
        OutOfBoundsError: Names kernel, line, program, argument and the first bad element.
        RaceError: Names kernel, line, argument, element and both programs.
        ValueError: A bfloat16 argument before `repair_bf16()`.
    """
    with ExitStack() as stack:
        stack.enter_context(observe(Bounds()))
        if races:
            stack.enter_context(observe(Races()))
        yield


class Bounds(Observer):
    """Raises where an access leaves its argument."""

    def launch_started(self, launch: Launch) -> None:
        """Forget the tensors of the launch before."""
        self._spans = {argument: span_bytes(argument.tensor) for argument in launch.arguments}
        self._elements: dict[Argument, np.ndarray] = {}

    def accessed(self, launch: Launch, access: Access) -> None:
        """Compare the lanes with the argument's elements.

        Raises:
            OutOfBoundsError: A lane leaves the argument, or reads what a view skips.
        """
        if not access.offsets.size:
            return
        argument = access.argument
        if argument is None:
            raise OutOfBoundsError(
                f"{_place(launch)} {_VERB[access.kind]} address {access.offsets[0]:#x}, which came "
                "from no argument of the launch: hand the tensor over as an argument"
            )
        if access.lowest < 0 or access.highest + access.size > self._spans[argument]:
            outside = access.offsets + access.size > self._spans[argument]
            raise self._error(launch, access, outside | (access.offsets < 0))
        if argument.tensor.is_contiguous():
            return
        if argument not in self._elements:
            self._elements[argument] = _elements(argument.tensor)
        width, elements = argument.tensor.element_size(), self._elements[argument]
        first, last = access.offsets // width, (access.offsets + access.size - 1) // width
        if not (inside := elements[first] & elements[last]).all():
            raise self._error(launch, access, ~inside)

    def _error(self, launch: Launch, access: Access, bad: np.ndarray) -> OutOfBoundsError:
        assert access.argument is not None
        tensor = access.argument.tensor
        element = access.offsets[bad][0] // tensor.element_size()
        inside = 0 <= element < self._spans[access.argument] // tensor.element_size()
        return OutOfBoundsError(
            f"{_place(launch)} {_VERB[access.kind]} element {element} of {access.argument.name}, "
            f"{'which that view skips' if inside else 'out of bounds'}: {_describe(tensor)}; "
            f"so do {np.count_nonzero(bad)} of {bad.size} active lanes. Mask them, or check the "
            "strides"
        )


class Races(Observer):
    """Raises where two programs, or two lanes of a store, meet at one element."""

    def launch_started(self, launch: Launch) -> None:
        """Launches run one after another: a new one starts with a clean slate."""
        self._cells = Cells(launch, np.int32)

    def accessed(self, launch: Launch, access: Access) -> None:
        """Compare with the programs that were here before, and sign.

        Raises:
            RaceError: Another program, or another lane of this store, was at the same element.
        """
        if not access.offsets.size or access.argument is None:
            return
        block, index = self._cells.at(access)
        me = launch.number
        for kind in _CONFLICTS[access.kind]:
            if kind in block.layers:
                seen = block.layers[kind][index]
                if (bad := (seen != 0) & (seen != me)).any():
                    lane = int(np.argmax(bad))
                    offset = access.offsets[lane * access.offsets.size // index.size]
                    raise RaceError(
                        f"{_element(launch, access, offset)}, which {_program(launch, seen[lane])} "
                        f"{_VERB[kind]}; programs run in any order, so the result is chance"
                    )
        if access.kind == "store":
            _compare_lanes(launch, access)
        mine = block.layer(access.kind)
        seen = mine[index]
        mine[index] = np.where((seen == 0) | (seen == me), me, _SEVERAL)


def _compare_lanes(launch: Launch, access: Access) -> None:
    if (access.offsets[1:] > access.offsets[:-1]).all():
        return  # rising, as most stores are: no two lanes meet
    order = np.argsort(access.offsets, kind="stable")
    offsets = access.offsets[order]
    values = np.broadcast_to(np.asarray(access.values), access.active.shape)[access.active]
    bits = values.view(f"u{values.itemsize}")[order]  # NaN differs from itself, its bits do not
    bad = (offsets[1:] == offsets[:-1]) & (bits[1:] != bits[:-1])
    if bad.any():
        raise RaceError(
            f"{_element(launch, access, offsets[1:][bad][0])} from two lanes with different "
            "values; which one stays is chance"
        )


def span_bytes(tensor: Tensor) -> int:
    """Bytes from the first element of a tensor to the end of its last."""
    if not tensor.numel():
        return 0
    steps = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return (steps + 1) * tensor.element_size()


def _elements(tensor: Tensor) -> np.ndarray:
    """For each element of the span of a tensor: is it one of the tensor's own?"""
    elements = np.zeros(span_bytes(tensor) // tensor.element_size(), dtype=bool)
    np.lib.stride_tricks.as_strided(elements, tensor.shape, tensor.stride())[...] = True
    return elements


def _describe(tensor: Tensor) -> str:
    return f"{tensor.dtype}, shape {tuple(tensor.shape)}, strides {tensor.stride()}"


def _element(launch: Launch, access: Access, offset: int) -> str:
    assert access.argument is not None
    element = offset // access.argument.tensor.element_size()
    return f"{_place(launch)} {_VERB[access.kind]} element {element} of {access.argument.name}"


def _program(launch: Launch, number: int) -> str:
    if number == _SEVERAL:
        return "more than one program"
    index = np.unravel_index(number - 1, launch.grid)
    return f"program {tuple(int(i) for i in index)}"


def _place(launch: Launch) -> str:
    """Kernel, source line and program.

    The line is the innermost one on the stack that is neither Triton's nor the lab's: the kernel's,
    or that of a device function it called.
    """
    frame = next(kernel_frames())
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return f"{launch.kernel} at {place}: program {launch.program}"
