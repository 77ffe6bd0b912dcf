"""The verb `export`: a checkpoint as one file for ONNX Runtime or PyTorch."""

from pathlib import Path

import click

from minidistil.cli.classes import ADVICE, TASK, class_of


@click.command(
    "export",
    epilog="""\b
Example:
  minidistil export --model my-model --output my-model.onnx
""",
)
@click.option("--model", required=True, metavar="MODEL", help="Folder or hub id.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "torch-export"]),
    default="onnx",
    show_default=True,
)
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Such as model.onnx or model.pt2; it is replaced.",
)
@TASK
def export(model: str, format_: str, output: Path, task: str | None) -> None:
    """Write the checkpoint MODEL, head and all, into one file that runs without this library.

    Any batch size and length. The file is loaded again and compared with the model before it is
    put in its place. Needs: pip install 'minidistil[export]'
    """
    from minidistil.checkpoints.trained import load_trained
    from minidistil.export import export as write

    cls = class_of(model, task)
    if cls is None:
        raise click.UsageError(f"--task is needed: the config of {model} names no class known here")
    loaded, _ = load_trained(cls, model, ADVICE, dtype="float32")
    error = write(loaded, output, format_)
    megabytes = output.stat().st_size / 1e6
    name = type(loaded).__name__
    click.echo(f"{output}: {name}, {megabytes:.1f} MB, within {error:.1e} of the model")
