"""New weights have the distribution the config asks for, and a seed makes them repeatable."""

import pytest
import torch
from torch import nn

import minidistil
from minidistil import DistilBertConfig
from minidistil.embeddings import sinusoidal_table
from tests.helpers.reference import CLASSES


def build(cls, **fields):
    torch.manual_seed(0)
    return getattr(minidistil, cls)(
        DistilBertConfig(vocab_size=500, dim=64, n_heads=2, hidden_dim=128, n_layers=2, **fields)
    )


@pytest.mark.parametrize("cls", CLASSES)
def test_distribution(cls):
    model = build(cls, initializer_range=0.05, pad_token_id=3)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding) and module.weight.numel() > 1000:
            assert module.weight.mean().item() == pytest.approx(0, abs=0.005)
            assert module.weight.std().item() == pytest.approx(0.05, rel=0.1)
        if isinstance(module, nn.Linear | nn.LayerNorm):
            assert (module.bias == 0).all()
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all()
    assert (model.get_input_embeddings().weight[3] == 0).all()


def test_whatever_stood_there_is_overwritten():
    """A loaded model's new weights begin as memory that nobody has written."""
    model = build("DistilBertForMaskedLM")
    expected = {name: p.clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.data.fill_(7)
    torch.manual_seed(0)
    model.distilbert.initialise()
    model.initialise()
    for name, parameter in model.named_parameters():
        for moment in (torch.std, torch.mean):
            actual, wanted = moment(parameter).item(), moment(expected[name]).item()
            assert actual == pytest.approx(wanted, rel=0.1, abs=0.01), name


def test_sinusoidal_positions_survive():
    model = build("DistilBertForMaskedLM", sinusoidal_pos_embds=True)
    assert torch.equal(model.get_position_embeddings().weight, sinusoidal_table(512, 64))


def test_a_seed_repeats():
    one, other = (build("DistilBertForMaskedLM").state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
