"""Pairs of models, PyTorch's and flax's, and gradients by the names of PyTorch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from torch import Tensor, nn

from minidistil.ports import flax as port
from tests.helpers.reference import pair
from tests.ports.parity import ported, tensor


def port_pair(
    cls: str, name: str, dtype: torch.dtype = torch.float32, **fields: Any
) -> tuple[nn.Module, Any]:
    """(ours in PyTorch, ours in flax), with the same amplified weights."""
    _, model = pair(cls, name, dtype, **fields)
    return model, ported(getattr(port, f"Flax{cls}"), model)


@nnx.jit
def run(model: Any, given: dict[str, Any]) -> Any:
    """All that a model returns. Compiled: a fraction of the time of compiling each operation."""
    return model(**given, output_hidden_states=True, output_attentions=True)


def named_gradients(gradients: nnx.State) -> dict[str, Tensor]:
    """Gradients as `named_parameters` of PyTorch would have them."""
    named = {}
    for path, leaf in nnx.to_flat_state(gradients):
        *module, kind = map(str, path)
        value = tensor(leaf[...])
        name = ".".join([*module, "bias" if kind == "bias" else "weight"])
        named[name] = value.T if kind == "kernel" else value
    return named


def weights(model: nnx.Module) -> list[np.ndarray]:
    """Copies of what an optimizer may change."""
    return [np.array(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))]


def same(left: Any, right: Any) -> bool:
    """Whether two arrays are equal to the bit."""
    return bool(jnp.array_equal(left, right))
