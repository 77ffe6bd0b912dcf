"""The token classifier: one linear layer on every hidden state."""

import torch

from tests.helpers.reference import inputs, pair
from tests.helpers.tolerances import assert_close


@torch.no_grad()
def test_logits_by_hand():
    _, model = pair("DistilBertForTokenClassification", "k16", num_labels=3)
    given = inputs("DistilBertForTokenClassification")
    hidden = model.distilbert(**given).last_hidden_state
    expected = hidden @ model.classifier.weight.T + model.classifier.bias
    assert_close(model(**given).logits, expected)
