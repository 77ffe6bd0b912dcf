"""What an observer of the interpreter hears: a launch, its arguments, its accesses, its arithmetic.

Sits between `hooks.py`, which reports these, and `meter.py` and `memory.py`, which listen.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import Tensor

Kind = Literal["load", "store", "atomic"]
Work = Literal["dot", "arithmetic", "special"]


class KernelError(RuntimeError):
    """What an observer has to say against a kernel."""


@dataclass(frozen=True, eq=False)
class Argument:
    """A tensor argument of a launch, on the host.

    Attributes:
        name: The kernel's parameter.
        tensor: The tensor, or the part of a tensor, that the kernel was given.
        base: The address the kernel sees.
    """

    name: str
    tensor: Tensor
    base: int


@dataclass(frozen=True, eq=False)
class Access:
    """The lanes of one load, store or atomic operation that touch one argument.

    Attributes:
        argument: None where no lane is active, or where the address came from no argument.
        offsets: Bytes from the argument's first element, one per active lane, in lane order.
        lowest, highest: The extremes of `offsets`.
        size: Bytes per lane.
        masked: Lanes that the mask turned off.
        active: Which lanes of the tile are meant.
        values: What a store writes, in any shape that broadcasts to the tile.
    """

    kind: Kind
    argument: Argument | None
    offsets: np.ndarray
    lowest: int
    highest: int
    size: int
    masked: int
    active: np.ndarray
    values: np.ndarray | None


@dataclass(eq=False)
class Launch:
    """One launch of one kernel. Programs run one after another, in the order of the grid.

    Attributes:
        program: The program that runs now.
        number: How many programs have started, this one included.
    """

    kernel: str
    observers: tuple["Observer", ...]
    arguments: tuple[Argument, ...] = ()
    grid: tuple[int, int, int] = (0, 0, 0)
    program: tuple[int, int, int] = (0, 0, 0)
    number: int = 0
    in_atomic: bool = False
    by_tensor: dict[int, Argument] = field(default_factory=dict)


class Observer:
    """Override what you want to hear of."""

    def launch_started(self, launch: Launch) -> None:
        """A kernel is about to run; the grid is not known yet."""

    def accessed(self, launch: Launch, access: Access) -> None:
        """A program is about to touch memory; an exception stops it before it does."""

    def computed(self, launch: Launch, work: Work, operations: int) -> None:
        """A program has computed on floats, in all lanes of a tile: masks do not save work."""

    def launch_ended(self, launch: Launch) -> None:
        """Every program has run. Not called where one raised."""


RUNNING: list[Launch] = []  # the launch that runs now is the last
