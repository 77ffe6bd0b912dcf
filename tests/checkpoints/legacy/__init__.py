"""Files that transformers 4 wrote, and what its classes computed; `make.py` made both."""

import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

HERE = Path(__file__).parent
HEADS = (
    "DistilBertModel",
    "DistilBertForMaskedLM",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
    "DistilBertForQuestionAnswering",
    "DistilBertForMultipleChoice",
)
PACKAGES = {"tf": "h5py", "flax": "msgpack"}


def unpack(name: str, folder: Path) -> Path:
    """The folder of one checkpoint, such as tf-DistilBertModel, below another folder."""
    with zipfile.ZipFile(HERE / "files.zip") as archive:
        members = [file for file in archive.namelist() if file.startswith(f"{name}/")]
        assert members, f"no {name} in files.zip"
        archive.extractall(folder, members)
    return folder / name


@cache
def _expected() -> dict[str, Tensor]:
    return safetensors.torch.load_file(HERE / "expected.safetensors")


def inputs(name: str) -> dict[str, Tensor]:
    """Token ids and mask that a checkpoint's class was given."""
    both = {key: _expected()[key] for key in ("input_ids", "attention_mask")}
    return {k: v[None] for k, v in both.items()} if name.endswith("MultipleChoice") else both


def outputs(name: str) -> dict[str, Tensor]:
    """What transformers' TensorFlow or Flax class computed of them."""
    found = {
        key.partition("/")[2]: value
        for key, value in _expected().items()
        if key.startswith(f"{name}/")
    }
    assert found, name
    return found


def packed(shape: list, dtype: str, data: bytes, code: int = 1) -> Any:
    """An array as Flax packs it."""
    import msgpack

    return msgpack.ExtType(code, msgpack.packb((shape, dtype, data)))


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    """Two state dicts are equal, bit for bit."""
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert torch.equal(tensor, second[name]), name
