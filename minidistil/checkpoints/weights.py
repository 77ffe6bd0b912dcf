"""Read the tensors of a checkpoint: safetensors, an older pickle, or what came before both.

A `.bin` file is a pickle, and unpickling runs code. It is read with `weights_only=True`, which
builds tensors and nothing else, and refuses the rest.

Not here: the formats of TensorFlow and Flax (`legacy.py`), and whether the tensors are those of
the model (`loading.py`).
"""

import os
import pickle
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from minidistil.checkpoints.files import read_json
from minidistil.checkpoints.hub import resolve_file
from minidistil.checkpoints.legacy import FLAX, SUFFIXES, TENSORFLOW, read_legacy, torch_name

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
FILES = (SAFETENSORS, PICKLE, TENSORFLOW, FLAX)  # in the order in which they are looked for
BLOCK = re.compile(r"\.layer\.\d+\.")  # in the name of a tensor
# How PyTorch's files begin: a zip archive, and before version 1.6 a bare pickle.
STARTS = (b"PK\x03\x04", b"\x80")
# What an unpickler trips over in a damaged file, which is a program of wrong instructions.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def read_weights(name_or_path: str | os.PathLike[str], **where: Any) -> dict[str, Tensor]:
    """All tensors of a checkpoint, on the CPU, by their names in the file.

    Tensors of a safetensors file are mapped, not copied: their bytes are read when first used.

    Args:
        name_or_path: A folder, `"user/name"` or `"user/name@revision"`.
        **where: As in `resolve_file`.

    Raises:
        FileNotFoundError: No weights there, or a shard is missing.
        MissingPackageError: As `read_legacy`.
        ValueError: A file that is truncated, damaged, or no weights at all; two shards differ.
    """
    files, promised = weight_files(name_or_path, **where)
    if not files:
        raise FileNotFoundError(
            f"{str(name_or_path)!r} has neither {SAFETENSORS} nor {PICKLE}, {TENSORFLOW} or "
            f"{FLAX}, whole or in shards"
        )
    weights: dict[str, Tensor] = {}
    for filename in files:
        path = resolve_file(name_or_path, filename, **where)
        if path is None:
            raise FileNotFoundError(
                f"the index of {str(name_or_path)!r} names {filename}, which is not there"
            )
        for name, tensor in _read(path).items():
            if not name.isprintable():  # a terminal would obey it
                raise ValueError(f"{path} calls a tensor {name!r}: not the name of a weight")
            if name in weights and not torch.equal(weights[name], tensor):
                raise ValueError(f"{path}: {name} is there twice, with different numbers")
            weights[name] = tensor
    missing = sorted(promised - weights.keys())
    if missing:
        raise ValueError(
            f"the index of {str(name_or_path)!r} promises {missing[0]!r}, which its file does not "
            "hold"
        )
    return weights


def weight_files(name_or_path: str | os.PathLike[str], **where: Any) -> tuple[list[str], set[str]]:
    """Which files of a checkpoint hold its weights: one, or the shards that an index names.

    Returns:
        The names of the files, none where there are no weights, and the tensors that an index
        promises.

    Raises:
        ValueError: An index that does not say what tensor is in which file.
    """
    for filename in FILES:
        if resolve_file(name_or_path, filename, **where) is not None:
            return [filename], set()
        index = resolve_file(name_or_path, f"{filename}.index.json", **where)
        if index is not None:
            weight_map = read_json(index).get("weight_map")
            shards = weight_map.values() if isinstance(weight_map, dict) else ()
            if not isinstance(weight_map, dict) or {type(name) for name in shards} != {str}:
                raise ValueError(f"{index} has no weight_map: what tensor is in which file")
            names = set(weight_map)
            if filename == TENSORFLOW:  # its index begins names with the model's, its shards don't
                names = {torch_name(name.partition("/")[2]) for name in names}
            elif filename == FLAX:
                names = {torch_name(name) for name in names}
            return sorted(set(shards)), names
    return [], set()


def _read(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        start = file.read(20)
    if start.startswith(b"version https://git"):
        raise ValueError(f"{path} is a git-lfs pointer, not the weights: run `git lfs pull`")
    if path.suffix in SUFFIXES:
        return read_legacy(path)
    if path.suffix == ".safetensors":
        try:
            return _mapped(path)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is truncated or no safetensors file: {error}") from error
    if not start.startswith(STARTS):
        raise ValueError(f"{path} is no PyTorch weights file: it begins with {start!r}")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is damaged, or holds objects other than tensors, which could run code: refused"
        ) from error
    except DAMAGE as error:
        kind = type(error).__name__
        raise ValueError(f"{path} is truncated or damaged ({kind}: {error})") from error
    if not isinstance(weights, dict):
        raise ValueError(f"{path} holds a {type(weights).__name__}, not a dictionary of tensors")
    for name, value in weights.items():
        if not isinstance(name, str):
            raise ValueError(f"{path} calls a tensor {name!r}: not the name of a weight")
        if not isinstance(value, Tensor):
            raise ValueError(f"{path} holds a {type(value).__name__} as {name!r}, not a tensor")
        if value.layout != torch.strided or value.is_nested or value.is_meta:
            kind = f"{value.layout} on {value.device}"
            raise ValueError(f"{path}: {name} is sparse, nested or without data ({kind})")
    return dict(weights)


def _mapped(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, those of each block in a mapping of their own.

    A block that is let go then gives back its memory at once, while others are in use. A mapping of
    each tensor would do more, but Python's keep a file open each.
    """
    before = path.stat()
    weights = safetensors.torch.load_file(path)
    for block in {found[0] for name in weights if (found := BLOCK.search(name))}:
        again = safetensors.torch.load_file(path)
        weights |= {name: again[name] for name in weights.keys() & again.keys() if block in name}
    after = path.stat()
    if (before.st_ino, before.st_mtime_ns) != (after.st_ino, after.st_mtime_ns):
        raise ValueError(f"{path} was replaced while it was read: load it again")
    return weights


def add_to_hash(digest: Any, weights: Iterable[tuple[str, Tensor]]) -> None:
    """Feed named tensors, wherever they are, to a hash of hashlib: name, dtype, shape, bytes."""
    for name, value in weights:
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
