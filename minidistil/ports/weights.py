"""Checkpoints of the PyTorch classes as numpy arrays, read and written.

A checkpoint goes through the PyTorch class of the same model, which knows old names, shards, int8
rows, tying and what to refuse. JAX and Keras keep the matrix of a linear layer as (in, out), where
PyTorch has (out, in): arrays here are as the ports want them.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from minidistil.checkpoints.loading import LoadingInfo, build_model
from minidistil.config import DistilBertConfig
from minidistil.pretrained import DistilBertPreTrainedModel

Arrays = dict[str, np.ndarray]


def read_arrays(
    cls: type[DistilBertPreTrainedModel], name_or_path: str | os.PathLike[str], **options: Any
) -> tuple[DistilBertConfig, Arrays, LoadingInfo]:
    """Read a checkpoint.

    Args:
        cls: The PyTorch class of the model.
        name_or_path: A folder, `"user/name"` or `"user/name@revision"`.
        **options: As of the class's `from_pretrained`, without `device` and `output_loading_info`.

    Returns:
        The config; arrays by the names of PyTorch's state dict, the matrices of linear layers as
        (in, out), bfloat16 widened to float32 (`config.dtype` says what it was); and what the
        checkpoint lacked or had besides.

    Raises:
        FileNotFoundError: No such folder, repository, or file in it.
        ValueError: A broken file, another architecture, or shapes that do not fit.
    """
    model, info = cls.from_pretrained(name_or_path, output_loading_info=True, **options)
    return model.config, arrays_of(model), info


def arrays_of(model: DistilBertPreTrainedModel) -> Arrays:
    """The weights of a PyTorch model, as `read_arrays` returns them."""
    linear = _linear_weights(model)
    arrays = {}
    for name, tensor in model.state_dict().items():
        wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        array = wide.cpu().numpy()
        arrays[name] = np.ascontiguousarray(array.T) if name in linear else array
    return arrays


def write_arrays(
    cls: type[DistilBertPreTrainedModel],
    config: DistilBertConfig,
    arrays: Mapping[str, np.ndarray],
    folder: str | os.PathLike[str],
) -> None:
    """Write a checkpoint that the PyTorch class, and transformers, load; all of it or nothing.

    Args:
        cls: The PyTorch class of the model.
        config: Its config.
        arrays: By the names of PyTorch's state dict, those of linear layers as (in, out).
        folder: Made where it does not exist.

    Raises:
        ValueError: A weight is missing, has a name of its own, or a shape that the config does not
            give it.
    """
    with torch.device("meta"):
        linear = _linear_weights(cls(config))
    tensors = {}
    for name, array in arrays.items():
        # PyTorch takes no bfloat16 of NumPy's; float32 holds it, and config.dtype brings it back.
        exact = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
        tensors[name] = torch.from_numpy(np.ascontiguousarray(exact.T if name in linear else exact))
    model, info = build_model(cls, config, tensors)
    wrong = info["missing_keys"] + info["unexpected_keys"]
    if wrong:
        raise ValueError(f"{cls.__name__} and the arrays differ in {', '.join(wrong)}")
    model.save_pretrained(folder)


def _linear_weights(model: nn.Module) -> set[str]:
    return {f"{n}.weight" for n, module in model.named_modules() if isinstance(module, nn.Linear)}
