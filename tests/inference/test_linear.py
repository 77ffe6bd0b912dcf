"""Laid-out products are those of `nn.Linear`, in each precision and with each activation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minidistil.feed_forward import ACTIVATIONS
from minidistil.inference import linear as module
from minidistil.inference.linear import FUSED, PackedLinear
from minidistil.quantization import dequantize_rows, quantize_rows

ERRORS = {"float32": 1e-5, "bfloat16": 0.02, "int8": 0.05}


def test_every_activation_has_a_fused_form():
    assert FUSED.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("precision", ERRORS)
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
@pytest.mark.parametrize("onednn", [True, False])
def test_it_equals_the_layers(precision, activation, onednn, monkeypatch):
    if not onednn:
        monkeypatch.setattr(module, "packs", lambda dtype: False)
    layers = [nn.Linear(33, 17), nn.Linear(33, 5)]
    x = torch.randn(3, 7, 33)
    want = torch.cat([layer(x) for layer in layers], -1)
    want = (ACTIVATIONS[activation](want) if activation else want).detach()
    got = PackedLinear(layers, precision, activation)(x)
    assert got.shape == (3, 7, 22)
    assert got.dtype == (torch.bfloat16 if precision == "bfloat16" else torch.float32)
    assert (got - want).abs().max() <= ERRORS[precision] * want.abs().max().clamp(min=1)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 20))
def test_any_shape(rows, columns, batch):
    layer = nn.Linear(columns, rows)
    x = torch.randn(batch, columns)
    got, want = PackedLinear([layer], "float32")(x), layer(x).detach()
    assert got.shape == want.shape
    assert torch.allclose(got, want, rtol=1e-5, atol=1e-5)


def test_the_weights_come_back():
    layers = [nn.Linear(33, 17), nn.Linear(33, 5)]
    weight = torch.cat([layer.weight for layer in layers]).detach()
    state = {p: PackedLinear(layers, p).state_dict() for p in ERRORS}
    assert all(values.keys() == {"weight", "bias"} for values in state.values())
    assert torch.equal(state["float32"]["weight"], weight)
    assert torch.equal(state["bfloat16"]["weight"], weight.bfloat16())
    assert torch.allclose(state["int8"]["weight"], dequantize_rows(*quantize_rows(weight)))


def test_int8_by_hand():
    """W = [[127, 64]] / 127 has scale 1 / 127 and whole numbers 127, 64.

    x = [1, 0] spans 0 to 1 in 256 levels, both of which are levels: the product is exact.
    """
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[127.0, 64.0]]) / 127
        layer.bias[:] = 0.5
    got = PackedLinear([layer], "int8")(torch.tensor([[1.0, 0.0]]))
    assert got.item() == pytest.approx(1.5, abs=1e-4)
