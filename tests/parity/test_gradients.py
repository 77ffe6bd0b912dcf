"""The gradient of every trainable parameter, in float64, against transformers."""

import pytest
import torch

from tests.helpers.reference import CLASSES, CONFIGS, inputs, labels, pair
from tests.helpers.tolerances import assert_gradients_close


def gradients(model):
    """By name. The sinusoidal table is frozen here and trainable there, so it is left out."""
    return {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if not (model.config.sinusoidal_pos_embds and "position_embeddings" in name)
    }


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_every_parameter(cls, name, attn):
    theirs, ours = pair(cls, name, torch.float64, attn)
    given = inputs(cls)
    if cls == "DistilBertModel":
        direction = torch.randn(*given["input_ids"].shape, ours.config.dim, dtype=torch.float64)
        for model in (theirs, ours):
            (model(**given).last_hidden_state * direction).sum().backward()
    else:
        given |= labels(cls)
        for model in (theirs, ours):
            model(**given).loss.backward()
    assert_gradients_close(gradients(ours), gradients(theirs))


def test_sinusoidal_positions_are_frozen():
    _, ours = pair("DistilBertForMaskedLM", "k32-sinusoidal")
    table = ours.get_position_embeddings().weight
    assert not table.requires_grad
    assert ours.num_parameters() - ours.num_parameters(only_trainable=True) == table.numel()


def test_gradient_checkpointing_changes_nothing():
    """Same loss and bit-equal gradients, from recomputed activations, with dropout on."""
    _, ours = pair("DistilBertForMaskedLM", "k40-tanh", dropout=0.2, attention_dropout=0.2)
    given = inputs("DistilBertForMaskedLM") | labels("DistilBertForMaskedLM")
    results = []
    ours.train()
    for switch in (ours.gradient_checkpointing_disable, ours.gradient_checkpointing_enable):
        switch()
        torch.manual_seed(3)
        ours.zero_grad()
        ours(**given).loss.backward()
        results.append({n: p.grad.clone() for n, p in ours.named_parameters()})
    assert all(torch.equal(results[0][n], results[1][n]) for n in results[0])


def test_gradient_checkpointing_saves_memory():
    """The backward pass keeps fewer numbers: counted, not timed."""
    _, ours = pair("DistilBertModel", "k64-relu")
    given = inputs("DistilBertModel")
    kept = []
    ours.train()
    for switch in (ours.gradient_checkpointing_disable, ours.gradient_checkpointing_enable):
        switch()
        saved = 0

        def count(tensor):
            nonlocal saved
            saved += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            ours(**given)
        kept.append(saved)
    assert kept[1] < kept[0] / 3
