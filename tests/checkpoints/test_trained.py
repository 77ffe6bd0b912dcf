"""Whole or not at all: a weight that would be drawn at random is an error with a way out."""

import pytest
import torch

from minidistil import DistilBertForSequenceClassification, DistilBertModel
from minidistil.checkpoints.trained import load_trained
from tests.helpers.reference import pair

CLASSIFIER = "DistilBertForSequenceClassification"


@pytest.fixture
def classifier(tmp_path):
    _, model = pair(CLASSIFIER, "k16")
    model.save_pretrained(tmp_path)
    return tmp_path


def test_what_is_whole_is_loaded(classifier):
    model, info = load_trained(
        DistilBertForSequenceClassification, classifier, "-", dtype="float64"
    )
    assert model.dtype == torch.float64 and not info["unexpected_keys"]
    encoder, info = load_trained(DistilBertModel, classifier, "-")
    assert type(encoder) is DistilBertModel and "classifier.weight" in info["unexpected_keys"]


def test_a_head_that_is_missing_or_of_another_shape(classifier):
    DistilBertModel.from_pretrained(classifier).save_pretrained(classifier / "encoder")
    for place, options in ((classifier / "encoder", {}), (classifier, {"num_labels": 7})):
        with pytest.raises(ValueError, match="has no trained classifier.bias, .* needed: do this"):
            load_trained(DistilBertForSequenceClassification, place, "do this", **options)
