"""The verb `export`: a checkpoint as one file for ONNX Runtime or PyTorch."""

from pathlib import Path
from typing import Any

import click

CLASSES = {
    "fill-mask": "DistilBertForMaskedLM",
    "text-classification": "DistilBertForSequenceClassification",
    "token-classification": "DistilBertForTokenClassification",
    "question-answering": "DistilBertForQuestionAnswering",
    "multiple-choice": "DistilBertForMultipleChoice",
    "feature-extraction": "DistilBertModel",
}


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
@click.option(
    "--task", type=click.Choice([*CLASSES]), help="Which head.  [default: what the config says]"
)
def export(model: str, format_: str, output: Path, task: str | None) -> None:
    """Write the checkpoint MODEL, head and all, into one file that runs without this library.

    Any batch size and length. The file is loaded again and compared with the model before it is
    put in its place. Needs: pip install 'minidistil[export]'
    """
    from minidistil.export import export as write

    loaded = _loaded(model, task)
    error = write(loaded, output, format_)
    megabytes = output.stat().st_size / 1e6
    name = type(loaded).__name__
    click.echo(f"{output}: {name}, {megabytes:.1f} MB, within {error:.1e} of the model")


def _loaded(model: str, task: str | None) -> Any:
    """The checkpoint in the class of the task, or in its own, with no weight drawn at random."""
    import minidistil
    from minidistil.config import DistilBertConfig

    said = DistilBertConfig.from_pretrained(model).architectures or []
    names = [CLASSES[task]] if task else [name for name in said if name in CLASSES.values()]
    if not names:
        raise click.UsageError(f"--task is needed: the config of {model} names no class known here")
    loaded, info = getattr(minidistil, names[0]).from_pretrained(
        model, dtype="float32", ignore_mismatched_sizes=True, output_loading_info=True
    )
    untrained = info["missing_keys"] + info["mismatched_keys"]
    if untrained:
        raise ValueError(f"{model!r} has no trained {', '.join(untrained)}: choose another --task")
    return loaded
