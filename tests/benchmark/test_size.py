"""DistilBERT beside BERT-base: what can be counted is."""

import pytest

from minidistil import DistilBertConfig, DistilBertModel
from minidistil.benchmark import size as module
from minidistil.benchmark.size import encode, encoder, size
from tests.benchmark.tiny import FIELDS, SETTING


@pytest.fixture
def tables(monkeypatch):
    asked = []

    def peak(function, rehearsal, **arguments):
        function(**{**arguments, **rehearsal})
        asked.append(arguments)
        return 3e6

    monkeypatch.setattr(module, "peak_memory", peak)
    parameters, *batches = size(SETTING)
    return parameters, batches, asked


def test_parameters(tables):
    bert, distil = tables[0].rows
    assert (bert["model"], bert["layers"]) == ("BERT-base", 4)
    assert (distil["model"], distil["layers"]) == ("DistilBERT", 2)
    block = DistilBertModel(DistilBertConfig(**FIELDS)).transformer.layer[0]
    difference = (bert["parameters M"] - distil["parameters M"]) * 1e6
    assert difference == pytest.approx(2 * sum(p.numel() for p in block.parameters()))


def test_a_row_for_each_work_model_and_mode(tables):
    rows = [row for table in tables[1] for row in table.rows]
    assert [table.title for table in tables[1]] == ["one: a batch", "mixed: a batch"]
    assert [(r["work"], r["model"], r["mode"]) for r in rows] == [
        (work, model, mode)
        for work in ("one", "mixed")
        for model in ("BERT-base", "DistilBERT")
        for mode in ("modules", "float32")
    ]
    for row in rows:
        assert row["peak MB"] == 3 and len(row["seconds"]) == 2
        assert (row["ratio"] == row["low"] == row["high"] == 1) == (row["model"] == "BERT-base")
    assert [a["lengths"] for a in tables[2][:1]] == [[7]]
    assert [a["fields"]["n_layers"] for a in tables[2]] == [4, 4, 2, 2] * 2


def test_no_peak_where_the_system_has_none(monkeypatch):
    monkeypatch.setattr(module, "peak_memory", lambda *_, **__: None)
    _, batch, _ = size(SETTING)
    assert batch.text().splitlines()[2].endswith("-")


def test_encode():
    assert encode(FIELDS, "float32", [3, 2]) is None
    assert not encoder(FIELDS, "modules").training
