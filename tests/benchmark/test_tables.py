"""The two tables of the reference: its columns, and steps that learn or answer."""

import pytest
import torch

from minidistil.benchmark import tables as module
from minidistil.benchmark.tables import (
    INFERENCE,
    TRAINING,
    answerer,
    learner,
    once,
    reference_tables,
)
from tests.benchmark.tiny import FIELDS, SETTING


@pytest.fixture
def tables(monkeypatch):
    peaks = {"eager": 30e6, "sdpa": 20e6, "fast": 60e6}
    monkeypatch.setattr(
        module, "peak_memory", lambda function, rehearsal, way, **arguments: peaks[way]
    )
    return [*reference_tables(SETTING, [(1, 5), (2, 3)], [(2, 4)])]


def test_columns(tables):
    training, inference = tables
    assert [*training.columns] == [
        *("batch size", "seq len", "s per batch eager", "s per batch sdpa", "speedup % sdpa"),
        *("peak MB eager", "peak MB sdpa", "saved % sdpa"),
    ]
    assert "ms per token fast" in inference.columns and "speedup % fast" in inference.columns
    assert [(row["batch size"], row["seq len"]) for row in training.rows] == [(1, 5), (2, 3)]


def test_what_follows_from_what(tables):
    row = tables[1].rows[0]
    assert row["saved % sdpa"] == pytest.approx(50) and row["saved % fast"] == pytest.approx(-50)
    assert row["ms per token sdpa"] == pytest.approx(row["ms per batch sdpa"] / 8)
    eager, sdpa = (sorted(row["seconds"][way]) for way in ("eager", "sdpa"))
    assert row["ms per batch sdpa"] == pytest.approx(sum(sdpa) / 2 * 1e3)
    assert len(eager) == 2
    pairs = zip(row["seconds"]["eager"], row["seconds"]["sdpa"], strict=True)
    ratios = [a / b for a, b in pairs]
    assert row["speedup % sdpa"] == pytest.approx((sum(ratios) / 2 - 1) * 100)


def test_the_shapes_are_those_of_the_reference():
    assert TRAINING[:2] == [(1, 128), (1, 256)] and TRAINING[-1] == (8, 256)
    assert INFERENCE[0] == (2, 64) and INFERENCE[-1] == (16, 128)
    assert len(TRAINING) == len(INFERENCE) == 8


def test_a_learner_learns(monkeypatch):
    losses = []
    backward = torch.Tensor.backward
    monkeypatch.setattr(
        torch.Tensor, "backward", lambda loss: (losses.append(loss.item()), backward(loss))
    )
    fields = {**FIELDS, "dropout": 0.0, "attention_dropout": 0.0}
    step = learner(fields, "eager", 2, 5, "cpu")
    for _ in range(50):
        step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("way", ["eager", "sdpa", "fast"])
def test_an_answerer_answers(way):
    assert answerer(FIELDS, way, 2, 5, "cpu")() is None


def test_once():
    for kind in ("training", "inference"):
        assert once(kind, fields=FIELDS, way="sdpa", batch=1, length=4, device="cpu") is None
