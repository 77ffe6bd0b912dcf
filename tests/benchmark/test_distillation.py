"""A distillation step: two pairs of student and teacher, one loss."""

import pytest
import torch

from minidistil.benchmark import steps as module
from minidistil.benchmark.distillation import TaughtPair, distillation
from minidistil.benchmark.steps import batches, total
from minidistil.benchmark.work import Work
from tests.benchmark.tiny import SETTING

MIXED = Work("mixed", (30, 9, 17))


@pytest.fixture(scope="module")
def pair():
    return TaughtPair.of(SETTING)


def test_loss_and_gradients_are_those_of_transformers(pair):
    apart = pair.apart(*batches(MIXED, 150))
    assert apart["loss"] < 1e-5 and 0 < apart["gradient"] < 1e-3


def test_the_teacher_has_twice_the_layers(pair):
    assert pair.ours.student.config.n_layers == 2
    (teacher,) = pair.ours._teacher
    assert teacher.config.n_layers == len(pair.teacher.distilbert.transformer.layer) == 4
    assert not teacher.training and pair.ours.student.training


@pytest.mark.parametrize("part", ["ce", "mlm", "cos"])
def test_a_loss_that_differs_shows_it(pair, part, monkeypatch):
    monkeypatch.setitem(pair.ours.weights, part, 3.0)
    assert pair.apart(*batches(MIXED, 150))["loss"] > 1e-3


def test_masked_only_is_another_loss(pair):
    _, packed = batches(MIXED, 150)
    with torch.no_grad():
        everywhere, masked = total(pair.ours, packed), total(pair.masked, packed)
    assert pair.masked.student is pair.ours.student
    assert abs(everywhere - masked) > 1e-3


def test_distillation():
    report = distillation(SETTING, MIXED)
    assert report.title.startswith("mixed: a distillation step")
    first, second, third = report.rows
    assert first["step"] == "transformers float32" and first["ratio"] == 1
    assert second["loss apart"] < 1e-5 and "loss apart" not in third
    assert all(len(row["seconds"]) == SETTING.rounds for row in report.rows)


def test_without_transformers(monkeypatch):
    monkeypatch.setattr(module, "installed", lambda package: None)
    with pytest.raises(ValueError, match="which is absent: pip install"):
        distillation(SETTING, MIXED)
