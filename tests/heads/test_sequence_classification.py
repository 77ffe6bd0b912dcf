"""The sequence classifier: the [CLS] token alone decides; the loss follows the kind of problem."""

import pytest
import torch

from tests.helpers.reference import BATCH, inputs, pair
from tests.helpers.tolerances import assert_close

CLS = "DistilBertForSequenceClassification"


@torch.no_grad()
def test_logits_by_hand():
    _, model = pair(CLS, "k16", num_labels=3)
    given = inputs(CLS)
    first = model.distilbert(**given).last_hidden_state[:, 0]
    pooled = (first @ model.pre_classifier.weight.T + model.pre_classifier.bias).clamp(min=0)
    assert_close(model(**given).logits, pooled @ model.classifier.weight.T + model.classifier.bias)


@pytest.mark.parametrize(
    ("num_labels", "labels", "kind"),
    [
        (1, torch.tensor([1, 2, 3, 4]), "regression"),
        (3, torch.tensor([0, 1, 2, 0], dtype=torch.int32), "single"),
        (3, torch.tensor([[0], [1], [2], [0]]), "single"),
        (3, torch.ones(BATCH, 3, dtype=torch.bool), "multi"),
    ],
)
def test_the_kind_of_problem_is_inferred(num_labels, labels, kind):
    _, model = pair(CLS, "k16", num_labels=num_labels)
    output = model(**inputs(CLS), labels=labels)
    logits = output.logits
    expected = {
        "regression": lambda: (logits[:, 0] - labels).square().mean(),
        "single": lambda: -logits.log_softmax(-1)[range(BATCH), labels.flatten().long()].mean(),
        "multi": lambda: -torch.sigmoid(logits).log().mean(),
    }[kind]()
    torch.testing.assert_close(output.loss, expected)


def test_an_empty_batch_has_no_loss():
    _, model = pair(CLS, "k16", num_labels=1)
    none = torch.zeros(0, 4, dtype=torch.long)
    assert model(none, labels=torch.zeros(0)).loss == 0


def test_regression_in_half_precision():
    """(200 - logit)^2 summed over three rows is beyond float16's 65504."""
    _, model = pair(CLS, "k16", torch.float16, num_labels=1)
    labels = torch.tensor([200.0, -200.0, 150.0, 7.77])
    output = model(**inputs(CLS), labels=labels)
    torch.testing.assert_close(output.loss, (output.logits[:, 0].float() - labels).square().mean())
