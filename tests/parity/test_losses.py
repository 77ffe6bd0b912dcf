"""All problem types and label counts against transformers, and what it gets wrong, right."""

import pytest
import torch

from tests.helpers.reference import BATCH, CHOICES, LENGTH, VOCAB, inputs, pair
from tests.helpers.tolerances import assert_close

CLASSIFIER = "DistilBertForSequenceClassification"


@pytest.mark.parametrize(
    ("num_labels", "problem_type", "labels"),
    [
        (1, None, torch.randn(BATCH)),
        (1, "regression", torch.randn(BATCH)),
        (3, "regression", torch.randn(BATCH, 3)),
        (2, None, torch.tensor([0, 1, 1, 0])),
        (5, None, torch.tensor([0, 4, 2, 1])),
        (5, "single_label_classification", torch.tensor([0, 4, 2, 1])),
        (3, None, torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])),
        (4, "multi_label_classification", torch.eye(4)),
    ],
)
def test_sequence_classification(num_labels, problem_type, labels):
    fields = {"num_labels": num_labels, "problem_type": problem_type}
    theirs, ours = pair(CLASSIFIER, "k16", **fields)
    given = inputs(CLASSIFIER) | {"labels": labels}
    expected, actual = theirs(**given), ours(**given)
    assert_close(actual.loss, expected.loss)
    assert_close(actual.logits, expected.logits)
    assert ours.config.problem_type == problem_type  # a forward pass writes nothing back


@pytest.mark.parametrize("num_labels", [2, 3, 7])
def test_token_classification(num_labels):
    cls = "DistilBertForTokenClassification"
    theirs, ours = pair(cls, "k32-sinusoidal", num_labels=num_labels)
    labels = torch.randint(num_labels, (BATCH, LENGTH))
    given = inputs(cls) | {"labels": labels.masked_fill(torch.rand(BATCH, LENGTH) > 0.6, -100)}
    assert_close(ours(**given).loss, theirs(**given).loss)


@pytest.mark.parametrize(
    ("starts", "ends"),
    [([0, 1, 2, 3], [4, 5, 6, 7]), ([0, LENGTH, 99, 3], [1, LENGTH, LENGTH - 1, 99])],
)
def test_answers_cut_off_by_truncation(starts, ends):
    cls = "DistilBertForQuestionAnswering"
    theirs, ours = pair(cls, "k16")
    given = inputs(cls) | {
        "start_positions": torch.tensor(starts),
        "end_positions": torch.tensor(ends),
    }
    assert_close(ours(**given).loss, theirs(**given).loss)
    column = {k: v[:, None] if "positions" in k else v for k, v in given.items()}
    assert_close(ours(**column).loss, ours(**given).loss)


def test_multiple_choice_flattens_position_ids():
    """The reference flattens ids and mask, but not position_ids, and fails on (B, C, S)."""
    cls = "DistilBertForMultipleChoice"
    theirs, ours = pair(cls, "k16")
    given = inputs(cls)
    positions = torch.randint(20, (BATCH, CHOICES, LENGTH))
    actual = ours(**given, position_ids=positions).logits
    for choice in range(CHOICES):
        alone = theirs(
            given["input_ids"][:, [choice]],
            given["attention_mask"][:, [choice]],
            position_ids=positions[:, choice],
        )
        assert_close(actual[:, [choice]], alone.logits)
    with pytest.raises(RuntimeError):
        theirs(**given, position_ids=positions)


@pytest.mark.parametrize(
    ("cls", "labels"),
    [
        ("DistilBertForMaskedLM", {"labels": torch.full((BATCH, LENGTH), -100)}),
        ("DistilBertForTokenClassification", {"labels": torch.full((BATCH, LENGTH), -100)}),
        ("DistilBertForMultipleChoice", {"labels": torch.full((BATCH,), -100)}),
        (CLASSIFIER, {"labels": torch.full((BATCH,), -100)}),
        (
            "DistilBertForQuestionAnswering",
            {
                "start_positions": torch.full((BATCH,), 99),
                "end_positions": torch.full((BATCH,), LENGTH),
            },
        ),
    ],
)
def test_nothing_to_learn_from_is_zero_not_nan(cls, labels):
    theirs, ours = pair(cls, "k16")
    given = inputs(cls) | labels
    assert theirs(**given).loss.isnan()
    loss = ours(**given).loss
    assert loss == 0
    loss.backward()
    gradients = [p.grad for p in ours.parameters() if p.grad is not None]
    assert gradients and all((g == 0).all() for g in gradients)


@pytest.mark.parametrize(
    ("cls", "labels", "message"),
    [
        ("DistilBertForMaskedLM", {"labels": torch.full((BATCH, LENGTH), VOCAB)}, "holds 61"),
        ("DistilBertForMaskedLM", {"labels": torch.full((BATCH, LENGTH), -1)}, "holds -1"),
        ("DistilBertForMaskedLM", {"labels": torch.zeros(BATCH, 3).long()}, r"\(4, 3\)"),
        ("DistilBertForTokenClassification", {"labels": torch.full((BATCH, LENGTH), 2)}, "holds 2"),
        (CLASSIFIER, {"labels": torch.full((BATCH,), 2)}, "holds 2"),
        (CLASSIFIER, {"labels": torch.zeros(BATCH + 1).long()}, r"\(5,\)"),
        (CLASSIFIER, {"labels": torch.zeros(BATCH, 3)}, r"\(4, 3\)"),
        ("DistilBertForMultipleChoice", {"labels": torch.full((BATCH,), 3)}, "holds 3"),
        ("DistilBertForQuestionAnswering", {"start_positions": torch.zeros(BATCH)}, "both"),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": -torch.ones(BATCH).long(), "end_positions": torch.zeros(BATCH)},
            "start_positions holds -1",
        ),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": torch.zeros(3).long(), "end_positions": torch.zeros(3).long()},
            "3 entries for 4",
        ),
    ],
)
def test_labels_that_make_no_sense(cls, labels, message):
    _, ours = pair(cls, "k16")
    with pytest.raises(ValueError, match=message):
        ours(**inputs(cls), **labels)
