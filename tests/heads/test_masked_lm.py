"""The masked-LM head: tied weights, and logits by hand."""

import pytest
import torch
from torch import nn

from tests.helpers.reference import VOCAB, inputs, pair
from tests.helpers.tolerances import assert_close


@torch.no_grad()
def test_logits_by_hand():
    """transform, GELU, LayerNorm, then a product with every word embedding."""
    _, model = pair("DistilBertForMaskedLM", "k16")
    given = inputs("DistilBertForMaskedLM")
    hidden = model.distilbert(**given).last_hidden_state
    hidden = hidden @ model.vocab_transform.weight.T + model.vocab_transform.bias
    hidden = model.vocab_layer_norm(hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5)))
    words = model.get_input_embeddings().weight
    assert_close(model(**given).logits, hidden @ words.T + model.vocab_projector.bias)


def test_the_tied_weight_gets_both_gradients():
    _, model = pair("DistilBertForMaskedLM", "k16")
    given = inputs("DistilBertForMaskedLM")
    assert model.vocab_projector.weight is model.get_input_embeddings().weight
    label = given["input_ids"].masked_fill(given["attention_mask"] == 0, -100)
    model(**given, labels=label).loss.backward()
    # Every row is an output; only the rows of the input are also looked up.
    assert (model.get_input_embeddings().weight.grad.norm(dim=1) > 0).all()


def test_a_projector_of_its_own_stays():
    """The config says that it is untied, so that a resize keeps its rows."""
    _, model = pair("DistilBertForMaskedLM", "k16")
    projector = nn.Linear(32, VOCAB)
    old = projector.weight.clone()
    model.set_output_embeddings(projector)
    assert model.config.tie_word_embeddings is False
    model.resize_token_embeddings(VOCAB + 3)
    assert torch.equal(model.vocab_projector.weight[:VOCAB], old)
    assert not torch.equal(model.get_input_embeddings().weight[:VOCAB], old)
    # Tied again, on demand.
    projector.weight = model.get_input_embeddings().weight
    model.set_output_embeddings(projector)
    assert model.config.tie_word_embeddings is True


@pytest.mark.parametrize(
    "projector",
    [
        nn.Linear(16, VOCAB),
        nn.Linear(32, VOCAB + 1),
        nn.Linear(32, VOCAB, bias=False),
        nn.Embedding(VOCAB, 32),
    ],
)
def test_what_cannot_be_the_projector(projector):
    _, model = pair("DistilBertForMaskedLM", "k16")
    old = model.vocab_projector
    message = rf"\) does not fit: expected nn\.Linear\(32, {VOCAB}\) with a bias"
    with pytest.raises(ValueError, match=message):
        model.set_output_embeddings(projector)
    assert model.vocab_projector is old and model.config.tie_word_embeddings is True
