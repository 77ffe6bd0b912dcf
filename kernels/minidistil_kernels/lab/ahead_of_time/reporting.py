"""Many cases on many targets: the rows, the table, and the ceilings that rows are held to.

`ceilings.json` holds, for every Triton version it was measured with and for every case, what the
compiler made of this package's kernels when someone last looked. A row may be better; where it is
worse, a change in a kernel has cost registers, a spill or wide accesses, and that should be seen
and decided, not found out later. A ceiling is not a goal: 255 registers can be a ceiling too.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import triton

from minidistil_kernels.lab.ahead_of_time.compilation import Case, compile_ahead

Row = dict[str, Any]
Ceilings = Mapping[str, Mapping[str, float]]  # figures by `ceiling_key`

CEILINGS = Path(__file__).with_name("ceilings.json")
AT_MOST = ("registers", "stack", "shared")
AT_LEAST = ("wide_share", "resident_blocks")

COLUMNS = {
    "case": "case",
    "target": "target",
    "registers": "regs",
    "stack": "stack",
    "local_accesses": "local ld/st",
    "shared": "shared",
    "dots": "dots",
    "tensor_core": "tensor",
    "wide_share": "128-bit",
    "global_accesses": "global, bits:count",
    "bulk_copies": "bulk",
    "resident_blocks": "blocks/SM",
    "limiter": "limited by",
    "worse": "worse than ceiling",
}
NOTE = (
    "Static proxies read in the machine code (instructions are counted once, loops or not), "
    "never a speed."
)


def report(cases: Iterable[Case], targets: Sequence[str]) -> list[Row]:
    """Compile every case for every target: one row each, of plain values (JSON takes them)."""
    pairs = product(cases, targets)
    # Threads suffice: LLVM lets go of Python's lock, and ptxas and cuobjdump are other processes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda pair: compile_ahead(*pair).row(), pairs))


def load_ceilings() -> Ceilings:
    """The committed ceilings, of every Triton version they were measured with."""
    return json.loads(CEILINGS.read_text())


def save_ceilings(rows: Iterable[Row]) -> None:
    """Write `rows` in place of all ceilings of the Triton that runs."""
    others = f"{triton.__version__} "
    ceilings = {key: value for key, value in load_ceilings().items() if not key.startswith(others)}
    for row in rows:
        ceilings[ceiling_key(row)] = {
            name: row[name] for name in (*AT_MOST, *AT_LEAST) if row[name] is not None
        }
    # One line a case, so that two versions of the file can be compared by eye.
    lines = [f"{json.dumps(key)}: {json.dumps(ceilings[key])}" for key in sorted(ceilings)]
    CEILINGS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def ceiling_key(row: Row) -> str:
    """Where the ceiling of `row` is: "3.9.0 sm_80 softmax_forward fp16"."""
    return f"{triton.__version__} {row['target']} {row['case']}"


def worse_than_ceiling(row: Row, ceilings: Ceilings) -> list[str]:
    """What in `row` is worse than its ceiling, as "registers 80 > 72"; empty without a ceiling."""
    limits = ceilings.get(ceiling_key(row), {})
    high = [f"{n} {row[n]} > {limits[n]}" for n in AT_MOST if n in limits and row[n] > limits[n]]
    low = [f"{n} {row[n]} < {limits[n]}" for n in AT_LEAST if n in limits and row[n] < limits[n]]
    return high + low


def table(rows: Sequence[Row]) -> str:
    """`rows` as text, one line each, beside the ceilings where there are any."""
    ceilings = load_ceilings()
    cells = [list(COLUMNS.values())]
    for row in rows:
        shown = row | {"worse": worse_than_ceiling(row, ceilings)}
        cells.append([_text(name, shown[name]) for name in COLUMNS])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, f"triton {triton.__version__}. {NOTE}"])


def _text(name: str, value: Any) -> str:
    match value:
        case None:
            return "n/a"
        case float() if name == "wide_share":
            return f"{value:.0%}"
        case dict():
            return " ".join(f"{bits}:{count}" for bits, count in value.items())
        case list():
            return ", ".join(value)
        case _:
            return str(value)
