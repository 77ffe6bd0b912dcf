"""All problem types and label counts against PyTorch, and what makes no sense, named."""

import pytest

pytest.importorskip(
    "minidistil.ports.tensorflow",
    reason="the port to Keras: pip install minidistil[tensorflow]",
    exc_type=ModuleNotFoundError,
)

import numpy as np
import tensorflow as tf
import torch

from tests.helpers.reference import BATCH, CHOICES, LENGTH, VOCAB, inputs
from tests.helpers.tolerances import assert_close
from tests.ports.parity import arrays, tensor
from tests.ports.tensorflow.models import gradients, port_pair

CLASSIFIER = "DistilBertForSequenceClassification"
SEVERAL = torch.tensor([[1.0, 0, 1], [0, -100, 0.3], [-100, -100, -100], [0, 1, 0]])


@pytest.mark.parametrize(
    ("num_labels", "problem_type", "labels"),
    [
        (1, None, torch.randn(BATCH)),
        (1, "regression", torch.randn(BATCH, 1)),
        (1, None, torch.tensor([0, 3, -100, 5])),
        (3, "regression", torch.randn(BATCH, 3)),
        (2, None, torch.tensor([0, 1, 1, 0])),
        (5, None, torch.tensor([0, 4, -100, 1])),
        (5, "single_label_classification", torch.tensor([[0], [4], [2], [1]])),
        (5, None, torch.tensor([[0, 4, 2, 1]])),
        (5, None, torch.tensor([[0, 4], [2, -100]])),
        (3, None, SEVERAL),
        (3, "multi_label_classification", (SEVERAL > 0.5).long()),
        (3, None, SEVERAL > 0.5),
    ],
)
def test_sequence_classification(num_labels, problem_type, labels):
    fields = {"num_labels": num_labels, "problem_type": problem_type}
    ours, port = port_pair(CLASSIFIER, "k16", **fields)
    given = inputs(CLASSIFIER) | {"labels": labels}
    with torch.no_grad():
        assert_close(tensor(port(**arrays(given)).loss), ours(**given).loss)
    assert port.config.problem_type == problem_type


@pytest.mark.parametrize(
    ("starts", "ends"),
    [([0, 1, 2, 3], [4, 5, 6, 7]), ([0, LENGTH, 99, 3], [1, LENGTH, LENGTH - 1, 99])],
)
@torch.no_grad()
def test_answers_cut_off_by_truncation(starts, ends):
    cls = "DistilBertForQuestionAnswering"
    ours, port = port_pair(cls, "k16")
    positions = {"start_positions": torch.tensor(starts), "end_positions": torch.tensor(ends)}
    given = inputs(cls) | positions
    expected = ours(**given).loss
    assert_close(tensor(port(**arrays(given)).loss), expected)
    column = {k: v[:, None] if "positions" in k else v for k, v in given.items()}
    assert_close(tensor(port(**arrays(column)).loss), expected)


@pytest.mark.parametrize(
    ("cls", "labels"),
    [
        ("DistilBertForMaskedLM", {"labels": np.full((BATCH, LENGTH), -100)}),
        ("DistilBertForTokenClassification", {"labels": np.full((BATCH, LENGTH), -100)}),
        ("DistilBertForMultipleChoice", {"labels": np.full(BATCH, -100)}),
        (CLASSIFIER, {"labels": np.full(BATCH, -100)}),
        (CLASSIFIER, {"labels": np.full((BATCH, 2), -100.0)}),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": np.full(BATCH, 99), "end_positions": np.full(BATCH, LENGTH)},
        ),
    ],
)
def test_nothing_to_learn_from_is_zero_not_nan(cls, labels):
    _, port = port_pair(cls, "k16")
    given = arrays(inputs(cls)) | labels
    assert port(**given).loss == 0
    assert all((g == 0).all() for g in gradients(port, lambda: port(**given).loss).values())


@torch.no_grad()
def test_texts_without_a_token():
    """No [CLS] to classify, named; and no position to choose, whose loss is 0."""
    for cls, shape in ((CLASSIFIER, (2, 0)), ("DistilBertForMultipleChoice", (2, 3, 0))):
        ours, port = port_pair(cls, "k16")
        ids = np.zeros(shape, int)
        for model, given in ((ours, torch.from_numpy(ids)), (port, ids)):
            with pytest.raises(ValueError, match=r"length 0 has no \[CLS\]"):
                model(given)
    ours, port = port_pair("DistilBertForQuestionAnswering", "k16")
    given = {"input_ids": torch.zeros(2, 0, dtype=torch.long)}
    given |= dict.fromkeys(("start_positions", "end_positions"), torch.tensor([0, 1]))
    assert port(**arrays(given)).loss == ours(**given).loss == 0


@pytest.mark.parametrize(
    ("cls", "labels", "message"),
    [
        ("DistilBertForMaskedLM", {"labels": np.full((BATCH, LENGTH), VOCAB)}, "holds 61"),
        ("DistilBertForMaskedLM", {"labels": np.full((BATCH, LENGTH), -1)}, "holds -1"),
        ("DistilBertForMaskedLM", {"labels": np.zeros((BATCH, 3), int)}, r"\(4, 3\)"),
        ("DistilBertForMaskedLM", {"labels": np.zeros((BATCH, LENGTH))}, "integers, .*float64"),
        ("DistilBertForTokenClassification", {"labels": np.full((BATCH, LENGTH), 2)}, "holds 2"),
        (CLASSIFIER, {"labels": np.full(BATCH, 2)}, "holds 2"),
        (CLASSIFIER, {"labels": np.zeros(BATCH + 1, int)}, r"\(5,\)"),
        (CLASSIFIER, {"labels": np.zeros((BATCH, 3))}, r"\(4, 3\)"),
        (CLASSIFIER, {"labels": np.zeros((BATCH, 2), int)}, r"\(4, 2\) do not fit single_label"),
        (CLASSIFIER, {"labels": np.full((BATCH, 2), 2.0)}, "holds 2.0, expected 0 to 1"),
        ("DistilBertForMultipleChoice", {"labels": np.full(BATCH, CHOICES)}, "holds 3"),
        ("DistilBertForMultipleChoice", {"labels": [0] * BATCH}, "labels is a list"),
        ("DistilBertForQuestionAnswering", {"start_positions": np.zeros(BATCH, int)}, "both"),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": np.full(BATCH, -1), "end_positions": np.zeros(BATCH, int)},
            "start_positions holds -1",
        ),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": np.zeros(3, int), "end_positions": np.zeros(3, int)},
            "3 entries for 4",
        ),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": np.zeros(BATCH), "end_positions": np.zeros(BATCH)},
            "must be int32 or int64",
        ),
    ],
)
def test_labels_that_make_no_sense(cls, labels, message):
    _, port = port_pair(cls, "k16")
    with pytest.raises((ValueError, TypeError), match=message):
        port(**arrays(inputs(cls)), **labels)


def test_multiple_choice_needs_choices():
    _, port = port_pair("DistilBertForMultipleChoice", "k16")
    with pytest.raises(ValueError, match="choices"):
        port(np.zeros((2, 3), int))
    with pytest.raises(ValueError, match="attention_mask has shape"):
        port(np.zeros((2, 2, 3), int), np.ones((2, 3, 3), int))


def test_question_answering_has_two_labels():
    from minidistil import DistilBertConfig
    from minidistil.ports.tensorflow import TFDistilBertForQuestionAnswering

    with pytest.raises(ValueError, match="num_labels must be 2"):
        TFDistilBertForQuestionAnswering(DistilBertConfig(num_labels=3))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_losses_of_half_precision_are_summed_in_float32(dtype):
    """70,000 losses of about 1 each: their sum is no number of float16."""
    from minidistil.ports.tensorflow.heads.base import cross_entropy

    logits = tf.zeros((70_000, 3), dtype)
    loss = cross_entropy(logits, tf.zeros(70_000, tf.int32))
    assert loss.dtype == tf.float32 and abs(float(loss) - np.log(3)) < 1e-4
