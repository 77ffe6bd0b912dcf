"""Every activation of the config, against PyTorch's."""

import pytest

pytest.importorskip("jax", reason="the port to JAX: pip install minidistil[jax]")
pytest.importorskip("flax", reason="the port to JAX: pip install minidistil[jax]")

import jax.numpy as jnp
import torch

from minidistil.config import ACTIVATIONS
from minidistil.feed_forward import ACTIVATIONS as OURS
from minidistil.ports.flax.feed_forward import ACTIVATIONS as PORT
from tests.helpers.tolerances import assert_close
from tests.ports.parity import tensor


def test_all_are_there():
    assert {*PORT} == {*OURS} == {*ACTIVATIONS}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    x = torch.linspace(-8, 8, 1001)
    assert_close(tensor(PORT[name](jnp.array(x.numpy()))), OURS[name](x))
