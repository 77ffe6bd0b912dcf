"""The verb `check`: the conformance suite of `minidistil_kernels.testing` on anybody's function."""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from minidistil.learn.running import kernel_conditions, run_file

OPS = (
    "add_layer_norm",
    "attention",
    "cosine_loss",
    "cross_entropy",
    "distillation_loss",
    "embedding_layer_norm",
    "linear_cross_entropy",
    "linear_gelu",
    "softmax",
)


@click.command(
    epilog="""\b
Example:
  minidistil check my_file.py:my_attention
  minidistil check my_file.py:my_softmax --op softmax
"""
)
@click.argument("function", metavar="FILE.py:FUNCTION")
@click.option(
    "--op",
    type=click.Choice(OPS),
    help="What it computes; if not given, what FUNCTION is called, else attention. It is called "
    "as in minidistil_kernels.reference, attention as ops.AttentionImpl.padded is.",
)
@click.option("--packed", metavar="FILE.py:FUNCTION", help="The packed form of your attention.")
@click.option(
    "--examples",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Random cases a law, besides a few fixed ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def check(function: str, op: str | None, packed: str | None, examples: int, as_json: bool) -> int:
    """Which laws does your kernel obey?

    Runs FILE.py and tries FUNCTION, Triton or plain PyTorch, on fixed and on random cases: against
    the reference in float64, forward and backward, in three dtypes, with masks, strides and
    extremes. Shows the smallest case that fails. Without a GPU Triton runs in its interpreter, with
    every memory access checked, and NaN in what a GPU leaves undefined. What FILE.py prints goes to
    the error stream. Exits with 1 if a law fails.
    """
    if op is None:
        name = function.rpartition(":")[2]
        op = name if name in OPS else "attention"
    if packed is not None and op != "attention":
        raise click.UsageError(f"--packed belongs to attention, not to {op}")
    import torch

    # Hypothesis would leave a folder of notes wherever the command is run.
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", tempfile.gettempdir())
    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")  # before FILE.py imports triton
    try:
        from minidistil_kernels import testing
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the conformance suite needs {error.name}: pip install 'minidistil[learn]'"
        ) from error
    suite = getattr(testing, f"check_{op}")
    with redirect_stdout(sys.stderr), kernel_conditions():  # the report alone is the output
        modules: dict[Path, ModuleType] = {}
        forms = {} if packed is None else {"packed": _load(packed, modules)}
        report = suite(_load(function, modules), **forms, examples=examples)
    click.echo(json.dumps(report.to_dict(), allow_nan=False) if as_json else str(report))
    return 0 if report.holds else 1


def _load(place: str, modules: dict[Path, ModuleType]) -> Callable[..., Any]:
    """Take the function out of the file of "FILE.py:FUNCTION", which runs once: see `modules`."""
    file, colon, name = place.rpartition(":")
    if not colon or not name.isidentifier():
        raise click.UsageError(f"{place!r} is no FILE.py:FUNCTION")
    path = Path(file).resolve()
    if not path.is_file():
        raise click.UsageError(f"there is no file {file!r}")
    if path.suffix != ".py":
        raise click.UsageError(f"{file!r} is no Python file: its name must end in .py")
    if path not in modules:
        modules[path] = run_file(path)
    found = getattr(modules[path], name, None)
    if not callable(found):
        raise click.UsageError(f"{file} has no function {name!r}")
    return found
