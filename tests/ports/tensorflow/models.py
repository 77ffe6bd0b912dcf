"""Pairs of models, PyTorch's and Keras's, and gradients by the names of PyTorch."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import torch
from torch import Tensor, nn

from minidistil.ports import tensorflow as port
from minidistil.ports.tensorflow.pretrained import named_variables
from tests.helpers.reference import pair
from tests.ports.parity import ported, tensor


def port_pair(
    cls: str, name: str, dtype: torch.dtype = torch.float32, **fields: Any
) -> tuple[nn.Module, Any]:
    """(ours in PyTorch, ours in Keras), with the same amplified weights."""
    _, model = pair(cls, name, dtype, **fields)
    return model, ported(getattr(port, f"TF{cls}"), model)


def gradients(model: Any, loss: Callable[[], Any]) -> dict[str, Tensor]:
    """The gradient of every trainable weight, as `named_parameters` of PyTorch would have them."""
    named = {name: v for name, v in named_variables(model).items() if v.trainable}
    with tf.GradientTape() as tape:
        value = loss()
    found = tape.gradient(value, [v.value for v in named.values()])
    arrays = zip(named.items(), found, strict=True)
    values = {name: (v, tensor(tf.convert_to_tensor(g))) for (name, v), g in arrays}
    return {name: g.T if v.name == "kernel" else g for name, (v, g) in values.items()}


def expected_gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """PyTorch's."""
    model.zero_grad()
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
