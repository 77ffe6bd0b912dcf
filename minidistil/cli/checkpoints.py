"""The verbs about checkpoints: info, convert."""

import json
from math import prod
from pathlib import Path
from typing import Any

import click

# As safetensors names them, and as PyTorch does.
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@click.command(
    "info",
    epilog="""\b
Example:
  minidistil info distilbert/distilbert-base-uncased
""",
)
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def info(model: str, as_json: bool) -> None:
    """Describe the checkpoint MODEL, a folder or hub id, without loading its weights."""
    facts = _facts(model)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        lines = [f"{value:,}" if isinstance(value, int) else f"{value}"]
        if isinstance(value, dict):
            lines = [f"{key}  {item}" for key, item in value.items()]
        click.echo(f"{name:<11} " + ("\n" + " " * 12).join(lines))


def _facts(model: str) -> dict[str, Any]:
    from minidistil.config import DistilBertConfig

    config = DistilBertConfig.from_pretrained(model)
    shapes, dtypes, files = _weights(model)
    return {
        "model": model,
        "class": ", ".join(config.architectures or ["not said"]),
        "parameters": sum(map(prod, shapes)) if shapes else "not counted: no safetensors file",
        "dtype": ", ".join(sorted(DTYPES.get(name, name) for name in dtypes)) or config.dtype,
        "config": config.to_dict(),
        "labels": config.id2label,
        "files": files,
    }


def _weights(model: str) -> tuple[list[list[int]], set[str], dict[str, int]]:
    """Shapes and dtypes of all tensors, from the files' headers, and the files' sizes in bytes."""
    from safetensors import SafetensorError, safe_open

    from minidistil.checkpoints.hub import resolve_file
    from minidistil.checkpoints.weights import weight_files

    shapes: list[list[int]] = []
    dtypes: set[str] = set()
    sizes: dict[str, int] = {}
    for name in (*weight_files(model)[0], "tokenizer.json", "vocab.txt"):
        path = resolve_file(model, name)
        if path is None:
            continue
        sizes[name] = path.stat().st_size
        if path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="np") as file:
                    tensors = file.keys()
                    parts = [file.get_slice(tensor) for tensor in tensors]
                    shapes += [part.get_shape() for part in parts]
                    dtypes |= {part.get_dtype() for part in parts}
            except SafetensorError as error:
                raise ValueError(f"{path} is truncated or no safetensors file: {error}") from error
    return shapes, dtypes, sizes


@click.command(
    "convert",
    epilog="""\b
Example:
  minidistil convert sentence-transformers/all-MiniLM-L6-v2 minilm
""",
)
@click.argument("source")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Write into TARGET even if it is not empty.")
def convert(source: str, target: Path, force: bool) -> None:
    """Turn the BERT checkpoint SOURCE, a folder or hub id, into a DistilBERT one in TARGET."""
    from minidistil.checkpoints.conversion import convert_bert
    from minidistil.checkpoints.files import staged
    from minidistil.tokenization import DistilBertTokenizer

    if target.is_dir() and any(target.iterdir()) and not force:
        raise click.UsageError(f"{target} is not empty: choose another folder, or pass --force")
    model, dropped = convert_bert(source)
    tokenizer = DistilBertTokenizer.from_pretrained(source)
    with staged(target) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
    click.echo(
        f"{target}: {type(model).__name__}, {model.num_parameters():,} parameters\n"
        f"left out: {', '.join(dropped) or 'nothing'}\n"
        "The two compute the same for single texts. DistilBERT has no segment embeddings, so for "
        "pairs of texts they differ."
    )
