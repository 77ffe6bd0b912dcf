"""The verbs about checkpoints: info, convert."""

import json
import os
import re
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import click

from minidistil.cli.classes import ADVICE, TASK, class_of

LABELLED = {"DistilBertForSequenceClassification", "DistilBertForTokenClassification"}
# Fields of a config that `info` shows by themselves, or that say nothing about this checkpoint.
SAID_ELSEWHERE = ("architectures", "dtype", "id2label", "label2id", "model_type")
# Names that a checkpoint's files have, this library's and transformers'.
CHECKPOINT_FILE = re.compile(
    r"""model(-\d{5}-of-\d{5})?\.safetensors | model\.safetensors\.index\.json
    | pytorch_model(-\d{5}-of-\d{5})?\.bin | pytorch_model\.bin\.index\.json
    | tf_model(-\d{5}-of-\d{5})?\.h5 | tf_model\.h5\.index\.json
    | flax_model(-\d{5}-of-\d{5})?\.msgpack | flax_model\.msgpack\.index\.json
    | config\.json | tokenizer\.json | tokenizer_config\.json
    | vocab\.txt | added_tokens\.json | special_tokens_map\.json""",
    re.VERBOSE,
)
# As safetensors names them, and as PyTorch does.
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8"}


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
    config = facts["config"]
    facts["config"] = {name: config[name] for name in config if name not in SAID_ELSEWHERE}
    facts["files"] = {name: _size(count) for name, count in facts["files"].items()}
    for name, value in facts.items():
        if isinstance(value, dict):
            width = max((len(str(key)) for key in value), default=0)
            lines = [f"{key!s:<{width}}  {item}" for key, item in value.items()]
        else:
            lines = [f"{value:,}" if isinstance(value, int) else value]
        if lines:
            click.echo(f"{name:<11} " + ("\n" + " " * 12).join(lines))


def _size(count: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def _facts(model: str) -> dict[str, Any]:
    from minidistil.config import DistilBertConfig

    config = DistilBertConfig.from_pretrained(model)
    architectures = config.architectures or []
    shapes, dtypes, files = _weights(model)
    return {
        "model": model,
        "class": ", ".join(architectures) or "not said",
        "parameters": sum(map(prod, shapes)) if shapes else "not counted: no safetensors file",
        "dtype": ", ".join(sorted(DTYPES.get(name, name) for name in dtypes))
        or config.dtype
        or "not said",
        "config": config.to_dict(),
        # Every config has labels, were it by default; without such a head they mean nothing.
        "labels": config.id2label if LABELLED & {*architectures} else {},
        "files": files,
    }


def _weights(model: str) -> tuple[list[Sequence[int]], set[str], dict[str, int]]:
    """Shapes and dtypes of all tensors, and the files' sizes in bytes.

    A safetensors file has a header that says them. TensorFlow's and Flax's are read through.
    """
    from safetensors import SafetensorError, safe_open

    from minidistil.aliases import dtype_name
    from minidistil.checkpoints.hub import resolve_file
    from minidistil.checkpoints.legacy import SUFFIXES, read_legacy
    from minidistil.checkpoints.quantized import SUFFIX
    from minidistil.checkpoints.weights import weight_files

    weights, _ = weight_files(model)
    shapes: list[Sequence[int]] = []
    dtypes: set[str] = set()
    sizes: dict[str, int] = {}
    for name in (*weights, "tokenizer.json", "vocab.txt"):
        path = resolve_file(model, name)
        if path is None and name in weights:
            raise FileNotFoundError(f"the index of {model!r} names {name}, which is not there")
        if path is None:
            continue
        sizes[name] = path.stat().st_size
        if path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="np") as file:
                    tensors = file.keys()
                    parts = {tensor: file.get_slice(tensor) for tensor in tensors}
                    # The scales of int8 rows say how weights are stored; they are none.
                    counted = [parts[name] for name in parts if not name.endswith(SUFFIX)]
                    shapes += [part.get_shape() for part in counted]
                    dtypes |= {part.get_dtype() for part in parts.values()}
            except SafetensorError as error:
                raise ValueError(f"{path} is truncated or no safetensors file: {error}") from error
        elif path.suffix in SUFFIXES:
            tensors = read_legacy(path).values()
            shapes += [tensor.shape for tensor in tensors]
            dtypes |= {dtype_name(tensor.dtype) for tensor in tensors}
    return shapes, dtypes, sizes


@click.command(
    "convert",
    epilog="""\b
Example:
  minidistil convert sentence-transformers/all-MiniLM-L6-v2 minilm
  minidistil convert folder-with-tf_model.h5 distilbert
""",
)
@click.argument("source")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Write into TARGET even if it is not empty.")
@click.option("--int8", is_flag=True, help="Store weights in 8 bits.")
@TASK
def convert(source: str, target: Path, force: bool, int8: bool, task: str | None) -> None:
    """Write the checkpoint SOURCE, a folder or hub id, as a DistilBERT in safetensors to TARGET.

    SOURCE is a BERT or a DistilBERT, in safetensors or in an older format: pytorch_model.bin, or
    tf_model.h5 and flax_model.msgpack (pip install 'minidistil[legacy]').

    Of a BERT, heads for masked words and for token labels are kept. Others are left out: they sit
    on BERT's pooler, or read pairs of texts, as that for question answering does. A DistilBERT
    keeps its class and its numbers.

    With --force the new checkpoint takes the place of an earlier one: what that one has besides,
    such as weights in shards, is removed. Files that are no checkpoint's are left alone.

    With --int8 the file is a quarter as large, and the weights are rounded: this library loads them
    as floats again, others don't.
    """
    from minidistil.checkpoints.files import SCRATCH, staged
    from minidistil.quantization import quantize
    from minidistil.tokenization import DistilBertTokenizer

    found = target.iterdir() if target.is_dir() else ()
    # What a save that was killed has left is nobody's.
    if not force and any(not path.name.startswith(SCRATCH) for path in found):
        raise click.UsageError(f"{target} is not empty: choose another folder, or pass --force")
    if target.is_dir() and os.path.isdir(source) and target.samefile(source):
        raise click.UsageError(f"{target} is SOURCE itself: choose another folder")
    earlier = _checkpoint_files(target)
    model, dropped, was_bert = _loaded(source, task)
    parameters = model.num_parameters()
    model = quantize(model) if int8 else model
    tokenizer = DistilBertTokenizer.from_pretrained(source)
    with staged(target) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        stale = earlier - {path.name for path in scratch.iterdir()}
    for name in stale:
        (target / name).unlink(missing_ok=True)
    click.echo(
        f"{target}: {type(model).__name__}, {parameters:,} parameters\n"
        f"left out: {', '.join(dropped) or 'nothing'}"
    )
    if int8:
        click.echo("Linear layers and embeddings are rounded to 8 bits, each row by its own scale.")
    if was_bert:
        click.echo(
            f"The two compute the same for single texts{', but for the rounding' if int8 else ''}. "
            "DistilBERT has no segment embeddings, so for pairs of texts they differ."
        )
    if was_bert and "qa_outputs.weight" in dropped:
        click.echo("Questions and their contexts are such pairs: qa_outputs would answer wrongly.")
    if stale:
        click.echo(f"removed of the earlier checkpoint: {', '.join(sorted(stale))}")


def _loaded(source: str, task: str | None) -> tuple[Any, list[str], bool]:
    """The model that SOURCE becomes, the tensors without a place in it, and if it was a BERT."""
    from minidistil import DistilBertModel
    from minidistil.checkpoints.conversion import convert_bert
    from minidistil.checkpoints.files import read_json
    from minidistil.checkpoints.hub import resolve_file
    from minidistil.checkpoints.trained import load_trained

    path = resolve_file(source, "config.json")
    if path is None or read_json(path).get("model_type") == "bert":
        if task is not None:
            raise click.UsageError("--task is of a DistilBERT; a BERT keeps what heads it can")
        return *convert_bert(source), True
    cls = class_of(source, task)
    model, info = load_trained(cls or DistilBertModel, source, ADVICE)
    dropped = info["unexpected_keys"]
    if cls is None and dropped:
        raise click.UsageError(
            f"--task is needed: the config of {source} names no class known here, and there is "
            f"more than an encoder: {', '.join(dropped)}"
        )
    return model, dropped, False


def _checkpoint_files(folder: Path) -> set[str]:
    """Names of the files that belong to the checkpoint in a folder; none where there is none."""
    if not (folder / "config.json").is_file():
        return set()
    files = (path.name for path in folder.iterdir() if path.is_file())
    return {name for name in files if CHECKPOINT_FILE.fullmatch(name)}
