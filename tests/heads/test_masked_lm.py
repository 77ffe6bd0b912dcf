"""The masked-LM head: tied weights, and logits by hand."""

import torch

from tests.helpers.reference import inputs, pair
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
