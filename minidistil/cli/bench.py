"""The verb `bench`: the benchmarks of `minidistil.benchmark`, as a table, JSON and a picture."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import click

WHAT = (
    *("size", "reference-tables", "peers", "frameworks", "floor", "scaling", "training"),
    "kernels",
)
DRAWN = ("peers", "frameworks", "scaling")
PICTURES = (".png", ".svg", ".pdf")

HELP = """Measure WHAT on this machine, in turns.

\b
size              DistilBERT beside BERT-base: parameters, time, memory
reference-tables  the tables of transformers' page on DistilBERT
peers             transformers, ONNX Runtime, OpenVINO, CTranslate2, this library
frameworks        this library's models in PyTorch, JAX and Keras, compiled
floor             the bare matrix products
scaling           tokens a second and memory against batch and length
training          a training step beside transformers', and what it keeps
kernels           Triton kernels beside PyTorch's operators, on a GPU

The engines are extras: pip install 'minidistil[peers,jax,tensorflow]'. Who is absent is named. A
busy machine gives busy numbers: look at the quartiles.
"""


@click.command(
    "bench",
    help=HELP,
    epilog="""\b
Example:
  minidistil bench peers --json peers.json --plot peers.png
  minidistil bench floor --rounds 3 --threads 1
""",
)
@click.argument("what", type=click.Choice(WHAT), metavar="WHAT")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=10, show_default=True, help="Times of each."
)
@click.option("--threads", type=click.IntRange(min=1), help="Of every engine.  [default: torch's]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1.")
@click.option("--small", is_flag=True, help="A tiny model: to see that it runs.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write every time, and the machine, as JSON.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also draw it: .png, .svg or .pdf; of peers, frameworks and scaling.",
)
def bench(
    what: str,
    rounds: int,
    threads: int | None,
    device: str,
    small: bool,
    json_file: Path | None,
    plot: Path | None,
) -> None:
    """Measure, and write a table, JSON and a picture."""
    if plot is not None and what not in DRAWN:
        raise click.UsageError(f"--plot is of {', '.join(DRAWN)}, not of {what}")
    _can_be_written(json_file, plot)  # now, not after an hour
    # To be ended is to be interrupted: folders of weights are removed, other processes end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if what == "training" and device == "cpu":
        os.environ.setdefault("TRITON_INTERPRET", "1")  # read where kernels are imported
    import torch

    from minidistil.benchmark import charts, machine, report
    from minidistil.benchmark.comparison import compare
    from minidistil.benchmark.floor import floor
    from minidistil.benchmark.frameworks import frameworks
    from minidistil.benchmark.kernels import kernels
    from minidistil.benchmark.scaling import scaling
    from minidistil.benchmark.size import size
    from minidistil.benchmark.tables import reference_tables
    from minidistil.benchmark.training import training
    from minidistil.benchmark.work import SMALL, Setting

    if threads is not None:
        torch.set_num_threads(threads)
    setting = Setting(fields=SMALL if small else {}, rounds=rounds, device=device)
    measure = {
        "size": size,
        "reference-tables": reference_tables,
        "peers": compare,
        "frameworks": frameworks,
        "floor": floor,
        "scaling": scaling,
        "training": training,
        "kernels": kernels,
    }[what]
    facts, reports = machine.facts(device), []
    click.echo(report.in_one_line(facts))
    for table in measure(setting):
        # Each as soon as it is there: the whole may take an hour, and be interrupted.
        click.echo(f"\n{table.text()}")
        reports.append(table)
        if json_file is not None:
            report.save(json_file, what, facts, reports)
    if plot is not None:
        drawn = (
            charts.draw_scaling(reports[0]) if what == "scaling" else charts.draw_ratios(reports)
        )
        drawn.savefig(plot)


def _can_be_written(json_file: Path | None, plot: Path | None) -> None:
    for path in (json_file, plot):
        if path is not None and not path.parent.is_dir():
            raise click.UsageError(f"there is no folder {path.parent}")
    if plot is not None and plot.suffix not in PICTURES:
        raise click.UsageError(f"{plot.name} must end in one of {', '.join(PICTURES)}")
    if plot is not None and find_spec("matplotlib") is None:
        raise click.ClickException("--plot needs matplotlib: pip install 'minidistil[learn]'")
