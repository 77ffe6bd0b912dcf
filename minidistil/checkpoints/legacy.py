"""Weights as the TensorFlow and Flax classes of transformers 4 wrote them.

`tf_model.h5` is HDF5, the format of Keras 2, and is read by h5py; `flax_model.msgpack` is a nested
dictionary in MessagePack. Neither TensorFlow nor JAX is needed. Both name tensors by a path of
modules, and both keep the matrix of a linear layer as (in, out), where PyTorch has (out, in).

Such files come from anywhere: what could reach outside the file or make objects of it is refused,
and no number of a header is believed before it is held against the bytes that are there.

Source: `modeling_tf_pytorch_utils.py` of transformers 4, `serialization.py` of Flax.

Not here: writing these formats, and whether the tensors are those of the model (`loading.py`).
"""

import mmap
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TENSORFLOW = "tf_model.h5"
FLAX = "flax_model.msgpack"
SUFFIXES = (".h5", ".msgpack")  # of both, and of their shards
# The last part of a path, as Keras and Flax call it, and as PyTorch does.
TORCH_NAMES = {
    "kernel": "weight",
    "embeddings": "weight",
    "embedding": "weight",
    "scale": "weight",
    "gamma": "weight",
    "beta": "bias",
}
DTYPES = {
    name: getattr(torch, name)
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int8", "uint8")
}
CHUNKED = "__msgpack_chunked_array__"  # the mark of an array in pieces; Flax cuts at 1 GiB
ARRAY, SCALAR = 1, 3  # Flax's extension types; 2 is a complex number, which no weight is
# MessagePack makes room for a whole list before it reads it. Lists here are shapes.
LONGEST_LIST = 64
# A weight of the deepest head has seven levels. Paths of many levels and long names would take the
# square of the file's size.
DEEPEST, LONGEST_PATH = 16, 512
# What h5py and msgpack raise for a damaged file.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class MissingPackageError(ImportError, ValueError):
    """An extra is not installed; a ValueError too, as all else that keeps weights from loading."""


def read_legacy(path: Path) -> dict[str, Tensor]:
    """All tensors of such a file, on the CPU, named and laid out as PyTorch has them.

    Args:
        path: A file with one of `SUFFIXES`.

    Raises:
        MissingPackageError: The package that reads the format is not installed.
        ValueError: The file is damaged, or holds something that transformers does not write.
    """
    read = _read_h5 if path.suffix == ".h5" else _read_msgpack
    weights: dict[str, Tensor] = {}
    try:
        for source, tensor in read(path):
            name = torch_name(source)
            kernel = source.removesuffix(":0").rpartition("/")[2] == "kernel"
            value = tensor.T.contiguous() if kernel and tensor.dim() == 2 else tensor
            if name in weights and not torch.equal(weights[name], value):
                raise ValueError(f"{name} is there twice, with different numbers")
            weights[name] = value
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{path} needs {error.name}: pip install 'minidistil[legacy]'"
        ) from error
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged, or not as transformers wrote it: {error}") from error
    return weights


def torch_name(path: str) -> str:
    """PyTorch's name of a tensor, by its path without the name of the Keras model.

    `distilbert/transformer/layer_._0/attention/q_lin/kernel:0` is
    `distilbert.transformer.layer.0.attention.q_lin.weight`. In Keras `_._` stands for a level, and
    what is before `___` for nothing: `mlm___cls/predictions/bias:0` is `cls.predictions.bias`.
    What is not understood stays as it is, and is then no name of a weight.
    """
    *parents, last = path.removesuffix(":0").split("/")
    parents = [part.rpartition("___")[2].replace("_._", ".") for part in parents]
    return ".".join((*parents, TORCH_NAMES.get(last, last)))


def _checked(path: str) -> str:
    """The path, if it is as short as those of weights."""
    if path.count("/") >= DEEPEST or len(path) > LONGEST_PATH:
        raise ValueError(f"{path[:60]!r}... is no path of a weight: {len(path)} characters")
    return path


def _read_h5(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Tensors of an HDF5 file, each with its path.

    Keras writes a group a layer, and in it each weight by a full name, which begins with that of
    the model. In the shards of transformers the paths begin at the root, without the model.
    """
    import h5py

    with h5py.File(path, "r") as file:
        layers, left = set(), path.stat().st_size  # tensors may claim the same bytes
        seen: dict[Any, str] = {}
        rest: list[tuple[Any, Any]] = [(file, name) for name in file]
        while rest:
            group, name = rest.pop()
            # A soft or external link is a path: in this file, or to any other on the disk.
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{name!r} in {group.name} is a link to a path")
            item = group[name]
            path_in_file = _checked(item.name)
            if item in seen:  # under another name; a group may even hold itself
                raise ValueError(f"{path_in_file} and {seen[item]} are one object")
            seen[item] = path_in_file
            if isinstance(item, h5py.Group):
                if {"weight_names", "weight_names0"} & item.attrs.keys():
                    layers.add(name)
                rest += [(item, below) for below in item]
            elif isinstance(item, h5py.Dataset):
                parts = path_in_file.split("/")[1:]
                parts = parts[2:] if parts[0] in layers else parts
                if not parts:
                    raise ValueError(f"{path_in_file} has no name of a weight")
                left -= item.id.get_storage_size()
                if left < 0:
                    raise ValueError(f"up to {path_in_file} there are more bytes than in the file")
                yield "/".join(parts), _h5_tensor(item)
            else:
                raise ValueError(f"{path_in_file} is neither a group nor a tensor")


def _h5_tensor(dataset: Any) -> Tensor:
    """Read a dataset whose bytes are in this file, in one piece, as many as its shape says."""
    if dataset.chunks or dataset.is_virtual or dataset.external:
        raise ValueError(
            f"{dataset.name} is not in one piece in this file, but chunked, compressed, virtual or "
            "in a file of its own"
        )
    if dataset.dtype.name not in DTYPES:
        raise ValueError(f"{dataset.name} is of {dataset.dtype}, which is no dtype of weights")
    count = prod(dataset.shape) * dataset.dtype.itemsize
    # What was never written has 0 bytes; what is beyond the end of the file HDF5 refuses itself.
    if dataset.id.get_storage_size() != count:
        raise ValueError(f"{dataset.name} is {dataset.shape}, {count} bytes, which are not there")
    return torch.from_numpy(dataset[...])


def _read_msgpack(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a nested dictionary, each with its path."""
    import msgpack

    def array(code: int, data: bytes) -> Tensor:
        if code not in (ARRAY, SCALAR):
            raise ValueError(f"it holds an object of extension type {code}, which is no array")
        return _msgpack_tensor(*msgpack.unpackb(data, max_array_len=LONGEST_LIST))

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        tree = msgpack.unpackb(data, ext_hook=array, max_array_len=LONGEST_LIST)
    if not isinstance(tree, dict):
        raise ValueError(f"it holds a {type(tree).__name__}, not a dictionary")
    yield from _leaves(tree, "")


def _msgpack_tensor(shape: list[int], dtype_name: str, data: bytes) -> Tensor:
    dtype = DTYPES.get(dtype_name)
    if dtype is None:
        raise ValueError(f"an array is of {dtype_name!r}, which is no dtype of weights")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"an array of {shape} {dtype_name} has {len(data)} bytes")
    if not data:  # which frombuffer refuses
        return torch.empty(shape, dtype=dtype)
    # A copy: PyTorch wants memory that may be written to.
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def _leaves(tree: dict[str, Any], path: str) -> Iterator[tuple[str, Tensor]]:
    for name in list(tree):
        # Taken out, so that no tensor waits here in its old layout when its new one is made.
        item = tree.pop(name)
        here = _checked(f"{path}/{name}" if path else name)
        if isinstance(item, dict) and CHUNKED in item:
            item = _joined(item["shape"], item["chunks"])
        if isinstance(item, dict):
            yield from _leaves(item, here)
        elif isinstance(item, Tensor):
            yield here, item
        else:
            raise ValueError(f"{here} is a {type(item).__name__}, not an array")


def _joined(shape: dict[str, int], chunks: dict[str, Tensor]) -> Tensor:
    """An array that Flax cut into pieces; its lists are dictionaries of "0", "1" and so on."""
    flat = torch.cat([chunks[str(i)] for i in range(len(chunks))])
    return flat.reshape([shape[str(i)] for i in range(len(shape))])
