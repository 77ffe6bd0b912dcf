"""What a benchmark says: tables for the eye, the same numbers as JSON.

    rows of numbers --Report--> text | JSON

Not here: pictures (`charts.py`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minidistil.benchmark.timing import Spread


@dataclass(frozen=True)
class Report:
    """A table.

    Args:
        title: What was measured.
        columns: Key of a row to how its values are written (`format`): "" as they are, ".1f".
        rows: Values by key; a key without a column goes to the JSON only, None is written "-".
        notes: Sentences below the table.
    """

    title: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = field(default_factory=list)

    def text(self) -> str:
        """The table with a line of headings, numbers to the right."""
        cells = [[*self.columns]]
        cells += [
            [_written(row.get(key), form) for key, form in self.columns.items()]
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        left = [not form for form in self.columns.values()]
        lines = [
            "  ".join(
                cell.ljust(width) if to_left else cell.rjust(width)
                for cell, width, to_left in zip(row, widths, left, strict=True)
            ).rstrip()
            for row in cells
        ]
        return "\n".join([self.title, *lines, *self.notes])


def milliseconds(times: Spread) -> dict[str, float]:
    """Seconds as the columns "ms", "ms low", "ms high"."""
    return {"ms": times.median * 1e3, "ms low": times.low * 1e3, "ms high": times.high * 1e3}


def ratio(times: Spread) -> dict[str, float]:
    """Ratios as the columns "ratio", "low", "high"."""
    return {"ratio": times.median, "low": times.low, "high": times.high}


# How the columns above are written.
TIMES = {"ms": ".1f", "ms low": ".1f", "ms high": ".1f"}
RATIOS = {"ratio": ".3f", "low": ".3f", "high": ".3f"}


def in_one_line(machine: Mapping[str, Any]) -> str:
    """Facts of the machine; what it has not, None, is left out."""
    return ", ".join(f"{key} {value}" for key, value in machine.items() if value is not None)


def save(path: Path, what: str, machine: Mapping[str, Any], reports: Sequence[Report]) -> None:
    """Write tables as JSON: `bench`, `machine`, and `tables` with `title`, `rows`, `notes`.

    JSON has no NaN: it is null.

    Args:
        path: A file, written anew.
        what: The name of the benchmark.
        machine: As of `machine.facts`.
        reports: The tables.
    """
    tables = [
        {"title": r.title, "rows": [_plain(row) for row in r.rows], "notes": [*r.notes]}
        for r in reports
    ]
    value = {"bench": what, "machine": dict(machine), "tables": tables}
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    nothing = [k for k, value in row.items() if isinstance(value, float) and math.isnan(value)]
    return {**row, **dict.fromkeys(nothing)}


def _written(value: Any, form: str) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, str) else format(value, form)
