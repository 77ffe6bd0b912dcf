"""Laid-out products are those of `nn.Linear`, in each precision and with each activation."""

import os
import subprocess
import sys

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


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("precision", ERRORS)
@pytest.mark.parametrize("rows", [1, 3, 64])
def test_it_has_weights_of_its_own(precision, onednn, rows, monkeypatch):
    if not onednn:
        monkeypatch.setattr(module, "packs", lambda dtype: False)
    layer, x = nn.Linear(16, rows).requires_grad_(False), torch.randn(5, 16)
    packed = PackedLinear([layer], precision)
    want = packed(x).clone()
    layer.weight.zero_()
    layer.bias.zero_()
    assert torch.equal(packed(x), want) and want.any()


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


@pytest.mark.parametrize("last", [255, 127])
def test_whole_numbers_are_added_whole(last, monkeypatch):
    """Weights and inputs at their ends, where a sum of pairs in 16 bits would be cut at 32,767.

    W is 127 times 1 / 127; x is 0 once, and else 1, the last level: the sum is 63.
    """
    if last > module.levels():
        pytest.skip("this CPU adds pairs of products in 16 bits: it has 127 levels")
    monkeypatch.setattr(module, "levels", lambda: last)
    layer = nn.Linear(64, 16)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    x = torch.ones(3, 64)
    x[:, 0] = 0
    got = PackedLinear([layer], "int8")(x)
    assert torch.allclose(got, torch.full((3, 16), 63.0), rtol=1e-4)


PROBE = """
import torch
from minidistil.inference.linear import PackedLinear, levels
torch.manual_seed(0)
layer, x = torch.nn.Linear(256, 64), 1 + torch.rand(16, 256)
torch.nn.init.constant_(layer.weight, 0.5)
x[:, 0] = 0
got, want = PackedLinear([layer], "int8")(x), layer(x)
print(levels(), float((got - want).norm() / want.norm()))
"""


@pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="needs a CPU with AVX-512 VNNI")
def test_a_processor_with_vnni_has_all_levels():
    assert module.levels() == 255


def test_a_processor_without_vnni():
    """oneDNN then adds pairs of products in 16 bits. Cut at 32,767, the sums are off by a third."""
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    probe = [sys.executable, "-c", PROBE]
    result = subprocess.run(probe, env=environment, capture_output=True, text=True, check=True)
    last, error = result.stdout.split()
    assert last in ("127", "255")  # 255 where the variable isn't read: it is for x86
    assert float(error) < 0.02
