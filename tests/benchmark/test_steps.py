"""A masked-LM step: two models of one loss, their times, their memory."""

import pytest
import torch

from minidistil.benchmark import memory
from minidistil.benchmark import steps as module
from minidistil.benchmark.steps import Pair, batches, steps
from minidistil.benchmark.work import Work
from tests.benchmark.tiny import FIELDS, SETTING

MIXED = Work("mixed", (30, 9, 17))


def test_padded_and_packed_are_one_batch():
    padded, packed = batches(MIXED, 150)
    real = padded["attention_mask"].bool()
    assert torch.equal(padded["input_ids"][real], packed["input_ids"])
    assert torch.equal(padded["labels"][real], packed["labels"])
    assert (padded["labels"][~real] == -100).all()
    assert packed["cu_seqlens"].tolist() == [0, 30, 39, 56] and packed["max_seqlen"] == 30
    share = (packed["labels"] != -100).float().mean()
    assert 0.02 < share < 0.4


def test_loss_and_gradients_are_those_of_transformers():
    pair = Pair.of(SETTING)
    apart = pair.apart(*batches(MIXED, 150))
    assert apart["loss"] < 1e-5 and 0 < apart["gradient"] < 1e-3


def test_a_model_that_differs_shows_it():
    pair = Pair.of(SETTING)
    with torch.no_grad():
        pair.theirs.vocab_projector.bias[0] += 5
    apart = pair.apart(*batches(MIXED, 150))
    assert apart["loss"] > 1e-3 and apart["gradient"] > 1e-2


def test_steps(monkeypatch):
    monkeypatch.setattr(module, "peak_memory", lambda *_, **__: 3e6)  # eight processes; see below
    tables = steps(SETTING, [MIXED, Work("one", (7,))])
    report = next(tables)
    assert report.title.startswith("mixed: ") and next(tables).title.startswith("one: ")
    names = [row["step"] for row in report.rows]
    assert names == [
        f"{who} {dtype}"
        for who in ("transformers", "minidistil")
        for dtype in ("float32", "bfloat16")
    ]
    assert report.rows[0]["ratio"] == 1 and all(len(row["seconds"]) == 2 for row in report.rows)
    assert report.rows[2]["loss apart"] < 1e-5 and "loss apart" not in report.rows[3]
    assert [row["peak MB"] for row in report.rows] == [3] * 4


@pytest.mark.slow
def test_steps_have_a_memory():
    (report,) = steps(SETTING, [MIXED])
    assert all((row["peak MB"] is None) != memory.STATUS.exists() for row in report.rows)


@pytest.mark.slow
@pytest.mark.skipif(not memory.STATUS.exists(), reason="reads what Linux knows")
def test_the_memory_is_that_of_one_model():
    large = {**FIELDS, "vocab_size": 300_000}
    given = {"step": "minidistil float32", "lengths": [5, 3]}
    peak = memory.peak_memory(module.once, {"fields": FIELDS}, fields=large, **given)
    # The table, its gradient as input and as output, and for a moment their sum; not another model.
    assert 3 < peak / (300_000 * 32 * 4) < 4.5


def test_without_transformers(monkeypatch):
    monkeypatch.setattr(module, "installed", lambda package: None)
    with pytest.raises(ValueError, match="which is absent: pip install"):
        next(steps(SETTING))
