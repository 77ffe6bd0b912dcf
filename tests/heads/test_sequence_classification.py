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


SEVERAL = "multi_label_classification"


@pytest.mark.parametrize("value", [7.0, -1.0, 1.5, float("nan")])
def test_several_labels_out_of_range(value):
    _, model = pair(CLS, "k16", num_labels=3)
    labels = torch.zeros(BATCH, 3)
    labels[1, 2] = value
    with pytest.raises(ValueError, match=f"labels holds {value}, expected 0 to 1: no or yes, -100"):
        model(**inputs(CLS), labels=labels)


def test_ignored_ones_of_several_labels():
    """-100 adds nothing and does not count in the mean; soft labels are labels."""
    _, model = pair(CLS, "k16", num_labels=3, problem_type=SEVERAL)
    labels = torch.tensor([[1, 0, 1], [0, 0.25, 1], [1, 1, 0], [0, 1, 0]])
    kept = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 0, 0], [1, 0, 1]]).bool()
    output = model(**inputs(CLS), labels=labels.where(kept, -100))
    probability = torch.sigmoid(output.logits)
    losses = -(labels * probability.log() + (1 - labels) * (1 - probability).log())
    torch.testing.assert_close(output.loss, losses[kept].mean())
    loss = model(**inputs(CLS), labels=torch.full((BATCH, 3), -100)).loss
    loss.backward()
    assert loss == 0 and not model.classifier.weight.grad.any()


def test_integers_of_several_labels():
    _, model = pair(CLS, "k16", num_labels=3)
    labels = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]])
    message = r"labels of shape \(4, 3\) do not fit single_label_c.* are labels\.float\(\), or int"
    given = inputs(CLS)
    with pytest.raises(ValueError, match=message):
        model(**given, labels=labels)
    want = model(**given, labels=labels.float()).loss
    model.config.problem_type = SEVERAL
    assert torch.equal(model(**given, labels=labels).loss, want)


@pytest.mark.parametrize("labels", [torch.ones(BATCH, 3), torch.ones(BATCH).long()])
def test_a_kind_of_problem_that_was_misspelt_later(labels):
    _, model = pair(CLS, "k16", num_labels=3)
    model.config.problem_type = "regresion"
    with pytest.raises(ValueError, match="config.problem_type is 'regresion', none of"):
        model(**inputs(CLS), labels=labels)
