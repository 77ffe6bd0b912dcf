"""Exact counts of what a kernel asks of memory and of the arithmetic units.

    with meter() as m:
        softmax(x)
    print(m)

What a GPU moves between memory and chip lies between two of these counts:

    requested   every active lane of every load or store, as if there were no cache
    unique      every element once per launch, as if the cache held everything

A kernel whose two counts agree moves that and nothing else, whatever the cache does. Where they
differ, as for the keys in attention that each block of queries reads anew, the cache decides.

FLOPs. A dot of (M, K) and (K, N) is 2 M N K. `arithmetic` is one for each add, subtract, multiply,
    divide, minimum, maximum and negation of floats, two for each fma and clamp, and n - 1 for a sum
    or maximum of n elements. `special` is one for each exp, log, sqrt, erf, sin and cos, for which
    a GPU has units of their own. Lanes that a mask turns off in memory compute all the same.
    Integers, comparisons, where, abs and casts are not counted.

Not here: time, cache behaviour, transactions and bank conflicts; `tl.dot_scaled`; kernels that were
compiled (it is the interpreter that counts, see `hooks.py`).
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from minidistil_kernels.lab.cells import Cells
from minidistil_kernels.lab.events import Access, Kind, Launch, Observer, Work
from minidistil_kernels.lab.hooks import observe
from minidistil_kernels.lab.memory import Bounds


@dataclass
class Counts:
    """What one kernel, or several, asked for. All sizes in bytes.

    Attributes:
        lanes: Lanes of all loads, stores and atomic operations.
        masked_lanes: Those of them that a mask turned off.
        bytes_atomic: One element for each active lane of an atomic operation, not two for reading
            and writing.
    """

    launches: int = 0
    programs: int = 0
    bytes_loaded: int = 0
    bytes_stored: int = 0
    bytes_atomic: int = 0
    unique_loaded: int = 0
    unique_stored: int = 0
    unique_atomic: int = 0
    flops_dot: int = 0
    flops_arithmetic: int = 0
    flops_special: int = 0
    lanes: int = 0
    masked_lanes: int = 0

    @property
    def requested(self) -> int:
        """Bytes requested: loaded, stored and atomic."""
        return self.bytes_loaded + self.bytes_stored + self.bytes_atomic

    @property
    def unique(self) -> int:
        """Bytes touched, each once per launch and kind of access."""
        return self.unique_loaded + self.unique_stored + self.unique_atomic

    @property
    def flops(self) -> int:
        """Dots, arithmetic and special functions."""
        return self.flops_dot + self.flops_arithmetic + self.flops_special

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


@dataclass
class Traffic:
    """What `meter` counted, for each kernel by its name: two of one name are counted as one."""

    kernels: dict[str, Counts] = field(default_factory=dict)

    @property
    def total(self) -> Counts:
        """All kernels together."""
        return sum(self.kernels.values(), Counts())

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Plain numbers, for `json.dumps`."""
        return {name: asdict(counts) for name, counts in self.kernels.items()}

    def __str__(self) -> str:
        rows = dict(self.kernels)
        if len(rows) != 1:
            rows["total"] = self.total
        return _table(
            [
                ("kernel", "launches", "programs", "loaded", "unique", "stored", "unique",
                 "atomic", "dot", "arithmetic", "special", "masked off"),
                *(
                    (name, str(c.launches), str(c.programs), _si(c.bytes_loaded, "B"),
                     _si(c.unique_loaded, "B"), _si(c.bytes_stored, "B"),
                     _si(c.unique_stored, "B"), _si(c.bytes_atomic, "B"), _si(c.flops_dot),
                     _si(c.flops_arithmetic), _si(c.flops_special),
                     f"{c.masked_lanes / max(c.lanes, 1):.1%}")
                    for name, c in rows.items()
                ),
            ]
        )  # fmt: skip


@contextmanager
def meter() -> Iterator[Traffic]:
    """Count what every kernel launched in this block does; read the result in it or after it.

    Raises:
        OutOfBoundsError: A kernel leaves its arguments: such traffic means nothing.
        ValueError: A bfloat16 argument before `repair_bf16()`.
    """
    # Bounds first: cells exist for the arguments only.
    with observe(Bounds()), observe(_Meter()) as observer:
        yield observer.traffic


def side_by_side(runs: Mapping[str, Traffic], lower_bound: int) -> str:
    """A table of several ways to compute one thing, and of the least that any of them must move.

    Args:
        runs: Label to what was metered, such as {"naive": ..., "fused": ...}.
        lower_bound: Bytes: every input read once and every output written once. Of 0, which nothing
            to compute has, no run is a multiple.
    """
    rows = [("", "launches", "requested", "unique", "requested / bound", "FLOP", "FLOP / byte")]
    for label, traffic in runs.items():
        c = traffic.total
        rows.append(
            (
                label, str(c.launches), _si(c.requested, "B"), _si(c.unique, "B"),
                f"{c.requested / lower_bound:.2f}" if lower_bound else "", _si(c.flops),
                f"{c.flops / max(c.requested, 1):.2f}",
            )
        )  # fmt: skip
    bound = _si(lower_bound, "B")
    return _table([*rows, ("lower bound", "", bound, bound, "1.00", "", "")])


class _Meter(Observer):
    def __init__(self) -> None:
        self.traffic = Traffic()

    def launch_started(self, launch: Launch) -> None:
        self._counts = Counts(launches=1)
        self._cells = Cells(launch, np.bool_)

    def accessed(self, launch: Launch, access: Access) -> None:
        counts, active = self._counts, access.offsets.size
        counts.lanes += active + access.masked
        counts.masked_lanes += access.masked
        name = f"bytes_{_PAST[access.kind]}"
        setattr(counts, name, getattr(counts, name) + active * access.size)
        if active:
            block, index = self._cells.at(access)
            block.layer(access.kind)[index] = True

    def computed(self, launch: Launch, work: Work, operations: int) -> None:
        name = f"flops_{work}"
        setattr(self._counts, name, getattr(self._counts, name) + operations)

    def launch_ended(self, launch: Launch) -> None:
        counts = self._counts
        counts.programs = math.prod(launch.grid)
        for block in self._cells.blocks:
            for kind, cells in block.layers.items():
                name = f"unique_{_PAST[kind]}"
                size = int(np.count_nonzero(cells)) * block.unit
                setattr(counts, name, getattr(counts, name) + size)
        kernels = self.traffic.kernels
        kernels[launch.kernel] = kernels.get(launch.kernel, Counts()) + counts


_PAST: dict[Kind, str] = {"load": "loaded", "store": "stored", "atomic": "atomic"}


def _si(number: int, unit: str = "") -> str:
    """Three digits and a decimal prefix: 12345 is 12.3 k."""
    for prefix, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {prefix}{unit}"
    return f"{number} {unit}".strip()


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
