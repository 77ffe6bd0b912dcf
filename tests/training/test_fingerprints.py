"""Hashes tell models, vocabularies and records apart, and know them again."""

import pytest
import torch

from minidistil import DistilBertTokenizer
from minidistil.training import fingerprints
from minidistil.training.records import TextRecord
from tests.helpers.training import WORDS, tiny_masked_lm


def test_weights():
    torch.manual_seed(0)
    model = tiny_masked_lm()
    before = fingerprints.of_weights(model)
    assert fingerprints.of_weights(model) == before and len(before) == 64
    assert fingerprints.of_weights(model.encoder) != before
    with torch.no_grad():
        model.vocab_projector.bias[7] = 1e-30
    assert fingerprints.of_weights(model) != before
    assert fingerprints.of_weights(model.bfloat16()) != before


def test_labels_are_part_of_a_model():
    torch.manual_seed(0)
    model = tiny_masked_lm()
    before = fingerprints.of_weights(model)
    model.config.id2label = {0: "good", 1: "bad"}
    assert fingerprints.of_weights(model) != before


@pytest.mark.parametrize("change", [{"w3": 8, "w8": 3}, {}])
def test_vocabulary(change):
    ids = {word: i for i, word in enumerate(WORDS)}
    first = fingerprints.of_vocabulary(DistilBertTokenizer(ids))
    swapped = ids | {word: ids[f"w{number}"] for word, number in change.items()}
    second = fingerprints.of_vocabulary(DistilBertTokenizer(swapped))
    assert (first != second) == bool(change)


def test_records():
    records = [TextRecord("a", label="x", place="here"), TextRecord("b", label="y")]
    moved = [TextRecord("a", label="x", place="there"), TextRecord("b", label="y")]
    of = fingerprints.of_records
    assert of(records) == of(moved)
    assert len({of(records), of(records[::-1]), of(records[:1]), of(records[:1], records[1:])}) == 4
    assert of([TextRecord("\ud800")])  # half a character is none, and still has a hash
