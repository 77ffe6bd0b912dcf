"""The command line: `minidistil VERB ...`.

    arguments, files --records.py--> records --pipelines--> results --results.py--> lines

One file a family of verbs. This file only gathers them and is the one place where errors become a
message and an exit code: 2 for a wrong call, 1 for data or a model that can't be worked with, 130
for Ctrl-C, 141 where nobody reads the output any more (`| head -1`), which needs no message. The
verbs import what is heavy when they run, so that `--help` is quick.

Not here: anything that a Python program could not do with the library.
"""

import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, TextIO

import click

from minidistil import __version__
from minidistil.cli.bench import bench
from minidistil.cli.check import check
from minidistil.cli.checkpoints import convert, info
from minidistil.cli.distill import distill
from minidistil.cli.explain import explain
from minidistil.cli.export import export
from minidistil.cli.finetune import evaluate, finetune
from minidistil.cli.learn import learn
from minidistil.cli.predict import answer, choose, classify, fill_mask, tag
from minidistil.cli.reproduce import reproduce
from minidistil.cli.vectors import embed, search

# 128 + SIGINT and 128 + SIGPIPE: what shells report of other tools. (SIGPIPE itself stays switched
# off, or a connection that breaks in a download would end the process.)
INTERRUPTED = 130
PIPE_CLOSED = 141


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minidistil")
def cli() -> None:
    """DistilBERT on the command line.

    Every VERB explains itself: minidistil VERB --help
    """


VERBS = (
    fill_mask,
    classify,
    tag,
    answer,
    choose,
    embed,
    search,
    info,
    convert,
    export,
    distill,
    finetune,
    evaluate,
    reproduce,
    explain,
    check,
    learn,
    bench,
)
for _verb in VERBS:
    cli.add_command(_verb)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit.

    Args:
        arguments: What follows `minidistil`; None takes the process's own.
    """
    # Python has None for a stream that was closed when it started (`>&-`).
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (to the end); messages, warnings and bars go nowhere
    if sys.stdout is None:
        click.echo("Error: standard output is closed: redirect it, to a file or away", err=True)
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        # JSON lines are UTF-8, whatever the terminal speaks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(arguments, prog_name="minidistil", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except SystemExit:
        # Only a closed pipe makes click exit here: it has silenced standard output and error.
        return PIPE_CLOSED
    except OSError as error:
        # The system's own errors carry the file apart from the reason.
        parts = [str(part) for part in (error.filename, error.strerror) if part is not None]
        click.echo(f"Error: {': '.join(parts) or error}", err=True)
        return 1
    except ValueError as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    return code if isinstance(code, int) else 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(f"Warning: {message}", err=True)
