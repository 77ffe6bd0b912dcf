"""Options that verbs share, what they lead to (a pipeline, records), and which were given."""

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from minidistil.cli.records import Record, given_records, read_records


@dataclass(frozen=True)
class Common:
    """Values of the shared options.

    Attributes:
        model: Folder or hub id; None is the task's default.
        device: Such as "cuda"; None is the CPU.
        batch_size: Rows that go through the model at a time.
        dtype: As in `pipeline`; None is float32.
        attn: Attention implementation; None keeps the default.
        files: Where the input comes from; "-" is standard input.
        input_format: "text" or "jsonl"; None goes by each file's ending.
        errors: What to do with bytes that are no UTF-8: "strict" or "replace".
        as_json: Write JSON lines.
    """

    model: str | None
    device: str | None
    batch_size: int
    dtype: str | None
    attn: str | None
    files: tuple[str, ...]
    input_format: str | None
    errors: str
    as_json: bool

    def pipeline(self, task: str, **settings: Any) -> Any:
        """The pipeline of a task.

        Raises:
            click.UsageError: No model, and the task has no default.
        """
        from minidistil.pipelines import pipeline
        from minidistil.pipelines.factory import TASKS

        if self.model is None and TASKS[task].default_model is None:
            raise click.UsageError(
                f"--model is needed: {task} has no default; give a folder or a hub id"
            )
        return pipeline(
            task,
            self.model,
            device=self.device,
            batch_size=self.batch_size,
            dtype=self.dtype,
            attn_implementation=self.attn,
            **settings,
        )

    def records(self, arguments: tuple[str, ...], names: tuple[str, ...]) -> Iterable[Record]:
        """Records from the command line, else from the files, else from standard input.

        Args:
            arguments: What stands on the command line.
            names: Fields of a record; the last may take several values.

        Raises:
            click.UsageError: There is nothing to read, both arguments and files, or a number of
                arguments that does not fit.
        """
        if arguments:
            if self.files:
                raise click.UsageError("give the input as arguments or with --file, not both")
            return given_records(arguments, names)
        if not self.files and (sys.stdin is None or sys.stdin.isatty()):
            raise click.UsageError(
                f"there is no input: give {' '.join(names).upper()}, --file FILE, or pipe it in"
            )
        return read_records(self.files or ("-",), names, self.input_format, self.errors)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that stand on the command line; the others have the library's defaults."""
    return {name: value for name, value in options.items() if value is not None}


OPTIONS = (
    click.option("--model", metavar="MODEL", help="Folder or hub id, such as user/name@revision."),
    click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps.  [default: cpu]"),
    click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        help="Rows that go through the model at a time.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "bfloat16", "int8", "float16"]),
        help="What the matrix products are done in.  [default: float32]",
    ),
    click.option(
        "--attn",
        type=click.Choice(["sdpa", "eager"]),
        help="Run the model itself, not its fast path, with this attention.",
    ),
    click.option(
        "--file",
        "files",
        multiple=True,
        metavar="FILE",
        help="Input, one record a line; - is standard input. May be repeated.",
    ),
    click.option(
        "--format",
        "input_format",
        type=click.Choice(["text", "jsonl"]),
        help="Of the input: lines of text, or of JSON objects with the verb's fields.  "
        "[default: jsonl for a FILE that ends in .jsonl, else text]",
    ),
    click.option(
        "--errors",
        type=click.Choice(["strict", "replace"]),
        default="strict",
        show_default=True,
        help="What to do with bytes that are not UTF-8.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Write JSON lines."),
)


def common_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the shared options; it gets them as one `Common`."""

    @functools.wraps(verb)
    def with_common(**values: Any) -> None:
        own = {name: values.pop(name) for name in set(values) - set(Common.__annotations__)}
        verb(Common(**values), **own)

    command = with_common
    for option in reversed(OPTIONS):
        command = option(command)
    return command
