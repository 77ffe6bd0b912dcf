"""The seam of the layers: names, yours, and what is refused."""

import dataclasses

import pytest
import torch

from minidistil import DistilBertConfig, DistilBertForMaskedLM, DistilBertModel
from minidistil.ops import TORCH, resolve_layer_ops

CONFIG = DistilBertConfig(vocab_size=30, n_layers=2, n_heads=2, dim=32, hidden_dim=48)
IDS = torch.tensor([[5, 6, 7, 0], [8, 9, 3, 4]])


def test_names():
    assert resolve_layer_ops("torch") is TORCH
    assert resolve_layer_ops(TORCH) is TORCH
    with pytest.raises(ValueError, match="unknown layer_ops 'tritn'"):
        DistilBertModel(CONFIG).set_layer_ops("tritn")
    with pytest.raises(TypeError, match="a name or a LayerOps, not 3"):
        DistilBertModel(dataclasses.replace(CONFIG, layer_ops=3))


def test_yours_is_called_everywhere():
    """2 sums and 1 feed-forward product a block, 1 embedding, and the head's transform."""
    calls = []

    def counted(name):
        def call(*args):
            calls.append(name)
            return getattr(TORCH, name)(*args)

        return call

    ops = type(TORCH)(**{f.name: counted(f.name) for f in dataclasses.fields(TORCH)})
    model = DistilBertForMaskedLM(CONFIG).eval()
    expected = model(IDS, labels=IDS)
    model.set_layer_ops(ops)
    actual = model(IDS, labels=IDS)
    assert torch.equal(actual.logits, expected.logits) and torch.equal(actual.loss, expected.loss)
    assert sorted(calls) == [
        *["add_layer_norm"] * 4,
        "embed",
        *["linear_activation"] * 3,
        "project_and_compare",
    ]


def test_never_on_disk(tmp_path):
    model = DistilBertModel(dataclasses.replace(CONFIG, layer_ops=TORCH))
    model.save_pretrained(tmp_path)
    assert "layer_ops" not in (tmp_path / "config.json").read_text()
