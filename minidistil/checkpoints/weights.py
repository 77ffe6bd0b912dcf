"""Read the tensors of a checkpoint: one safetensors file, several, or an older pickle.

A `.bin` file is a pickle, and unpickling runs code. It is read with `weights_only=True`, which
builds tensors and nothing else, and refuses the rest.
"""

import os
import pickle
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from minidistil.checkpoints.files import read_json
from minidistil.checkpoints.hub import resolve_file

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"


def read_weights(name_or_path: str | os.PathLike[str], **where: Any) -> dict[str, Tensor]:
    """All tensors of a checkpoint, on the CPU, by their names in the file.

    Tensors of a safetensors file are mapped, not copied: their bytes are read when first used.

    Args:
        name_or_path: A folder, `"user/name"` or `"user/name@revision"`.
        **where: As in `resolve_file`.

    Raises:
        FileNotFoundError: No weights there, or a shard is missing.
        ValueError: A file that is truncated, damaged, or no weights at all.
    """
    for filename in (SAFETENSORS, PICKLE):
        path = resolve_file(name_or_path, filename, **where)
        if path is not None:
            return _read(path)
        index = resolve_file(name_or_path, f"{filename}.index.json", **where)
        if index is not None:
            return _read_shards(name_or_path, index, **where)
    raise FileNotFoundError(
        f"{str(name_or_path)!r} has neither {SAFETENSORS} nor {PICKLE}, whole or in shards"
    )


def _read_shards(
    name_or_path: str | os.PathLike[str], index: Path, **where: Any
) -> dict[str, Tensor]:
    weight_map = read_json(index).get("weight_map")
    names = weight_map.values() if isinstance(weight_map, dict) else ()
    if not isinstance(weight_map, dict) or not names or {type(name) for name in names} != {str}:
        raise ValueError(f"{index} has no weight_map, which says what tensor is in which file")
    weights: dict[str, Tensor] = {}
    for filename in sorted(set(weight_map.values())):
        path = resolve_file(name_or_path, filename, **where)
        if path is None:
            raise FileNotFoundError(f"{index} names {filename}, which is not there")
        weights |= _read(path)
    missing = sorted(weight_map.keys() - weights.keys())
    if missing:
        raise ValueError(f"{index} promises {missing[0]!r}, which its file does not hold")
    return weights


def _read(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        if file.read(20).startswith(b"version https://git"):
            raise ValueError(f"{path} is a git-lfs pointer, not the weights: run `git lfs pull`")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is truncated or no safetensors file: {error}") from error
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds pickled objects other than tensors, which could run code: refused"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"{path} is truncated or no PyTorch weights file: {error}") from error
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise ValueError(f"{path} holds a {type(weights).__name__}, not a dictionary of tensors")
    return dict(weights)
