"""The tile viewer: a page that plays which program of a kernel reads and writes which tile.

    from minidistil_kernels.lab.trace import trace

    with trace() as t:
        softmax(x)
    tile_page(t, "tiles.html")

or, for the two kernels that the course begins with, in a shell:

    TRITON_INTERPRET=1 python -m minidistil.visual.tiles --kernel softmax --out tiles.html

Everything shown was recorded while the kernel ran; the page only replays it. It opens at the end
with `#end` behind its address, at step 12 with `#12`, and plays with `#playing`.

Not here: the recording (`minidistil_kernels.lab.trace`), the shell (`page.py`), and the drawing
itself (`assets/`).
"""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minidistil.visual.page import html_page, write_page

if TYPE_CHECKING:
    from minidistil_kernels.lab.trace import Box, Event, Operand, Recording, Trace

ASSETS = ("tiles.html", "tiles.css", "tiles_picture.js", "tiles.js")
# What a browser draws without a pause, and a reader can follow.
MAX_EVENTS = 20_000
MAX_ELEMENTS = 4_000_000


def tile_page(trace: "Trace", path: str | Path) -> None:
    """Write the page of a trace, atomically.

    Raises:
        ValueError: The trace is empty, or too long or too large to be looked at.
        OSError: `path` cannot be written.
    """
    launches = trace.launches
    events = sum(len(launch.events) for launch in launches)
    elements = sum(math.prod(o.shape) for launch in launches for o in launch.operands)
    if not events:
        raise ValueError("the trace has no events: run a kernel inside `with trace()`")
    if events > MAX_EVENTS or elements > MAX_ELEMENTS:
        raise ValueError(
            f"the trace has {events} events on {elements} elements; the page shows at most "
            f"{MAX_EVENTS} on {MAX_ELEMENTS}: trace smaller inputs"
        )
    names = dict.fromkeys(launch.kernel for launch in launches)
    data = {"launches": [_launch(launch) for launch in launches]}
    write_page(html_page(f"Tiles of {', '.join(names)}", data, ASSETS), path)


def _launch(launch: "Recording") -> dict[str, Any]:
    touched = {event.operand for event in launch.events}
    written = {event.operand for event in launch.events if event.kind != "load"}
    operands = [operand for operand in launch.operands if operand.name in touched]
    upright = {operand.name for operand in operands if _is_upright(operand, operands)}
    numbers = {operand.name: number for number, operand in enumerate(operands)}
    functions = list(
        dict.fromkeys(line.function for event in launch.events for line in event.lines)
    )
    return {
        "kernel": launch.kernel,
        "grid": launch.grid,
        "untouched": [o.name for o in launch.operands if o.name not in touched],
        "operands": [
            {
                "name": operand.name,
                "shape": operand.shape,
                "dtype": operand.dtype,
                "itemsize": operand.itemsize,
                "matrix": _turned(operand.matrix, operand.name in upright),
                "output": operand.name in written,
            }
            for operand in operands
        ],
        "functions": [
            {"name": f.name, "file": f.file, "first": f.first, "lines": f.source.splitlines()}
            for f in functions
        ],
        "events": [
            {
                "program": _number(event, launch.grid),
                "kind": event.kind,
                "operand": numbers.get(event.operand or ""),
                "boxes": _flat(event.boxes, event.operand in upright),
                "tile": _turned(_tile(event), event.operand in upright),
                "masked": _flat(event.masked, event.operand in upright),
                "bytes": event.bytes,
                "flops": event.flops,
                "lines": [[functions.index(line.function), line.number] for line in event.lines],
            }
            for event in launch.events
        ],
    }


def _is_upright(operand: "Operand", operands: list["Operand"]) -> bool:
    """Is this one number for each row of another tensor, such as lse? It is drawn as a column."""
    rows, columns = operand.matrix
    others = [other.matrix for other in operands if other.matrix[0] > 1]
    return (
        rows == 1
        and columns in {other[0] for other in others}
        and columns not in {other[1] for other in others}
    )


def _turned(matrix: tuple[int, int], upright: bool) -> tuple[int, int]:
    rows, columns = matrix
    return (columns, rows) if upright else matrix


def _tile(event: "Event") -> tuple[int, int]:
    return math.prod(event.tile[:-1]), event.tile[-1] if event.tile else 1


def _flat(boxes: tuple["Box", ...], upright: bool) -> list[list[int]]:
    """First row, row below, first column, column after, of each box."""
    flat = []
    for box in boxes:
        rows, columns = (box.columns, box.rows) if upright else (box.rows, box.columns)
        flat.append([rows.start, rows.stop, columns.start, columns.stop])
    return flat


def _number(event: "Event", grid: tuple[int, int, int]) -> int:
    """A program's place in the interpreter's order of a grid: the last axis runs fastest."""
    x, y, z = event.program
    return (x * grid[1] + y) * grid[2] + z


def record(kernel: str) -> "Trace":
    """A small run of `softmax` (6 rows of 20) or `attention` (one head, 80 rows of 16).

    80 is no multiple of any tile's height, so the last tile is ragged.
    """
    import torch

    from minidistil_kernels.attention import attention
    from minidistil_kernels.lab.trace import trace
    from minidistil_kernels.softmax import softmax

    torch.manual_seed(0)
    with trace() as recorded:
        if kernel == "softmax":
            softmax(torch.randn(6, 20))
        else:
            attention(*torch.randn(3, 1, 1, 80, 16))
    return recorded


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Example:
  TRITON_INTERPRET=1 python -m minidistil.visual.tiles --kernel attention --out tiles.html
""",
)
@click.option(
    "--kernel",
    type=click.Choice(["softmax", "attention"]),
    default="softmax",
    show_default=True,
    help="What to run.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="tiles.html",
    show_default=True,
    help="The page to write.",
)
def main(kernel: str, out: Path) -> None:
    """Run a kernel in Triton's interpreter and write a page that plays its tiles."""
    if find_spec("triton") is None:
        raise click.ClickException(
            "the kernels are written in Triton, which is not installed: pip install triton (Linux)"
        )
    from minidistil_kernels import interpreter

    if not interpreter.INTERPRETING:
        raise click.ClickException(
            "a run is recorded in Triton's interpreter, which is off: set TRITON_INTERPRET=1 in "
            "the environment"
        )
    try:
        tile_page(record(kernel), out)
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror or error}") from error
    click.echo(f"{out}: open it in a browser")


if __name__ == "__main__":
    main()
