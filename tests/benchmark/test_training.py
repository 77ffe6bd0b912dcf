"""The tables of training: in which order they come, and what a step keeps."""

import pytest

from minidistil.benchmark import training as module
from minidistil.benchmark.training import kept, training
from tests.benchmark.tiny import FIELDS, SETTING


def test_a_table_comes_before_the_next_is_begun(monkeypatch):
    """Guards an hour's work against an interruption."""
    monkeypatch.setattr(module, "steps", lambda setting: iter(["a step", "another"]))
    monkeypatch.setattr(module, "distillation", lambda setting: "with a teacher")
    monkeypatch.setattr(module, "kept", lambda *_, **__: pytest.fail("begun"))
    tables = training(SETTING)
    assert [next(tables) for _ in range(3)] == ["a step", "another", "with a teacher"]
    with pytest.raises(pytest.fail.Exception, match="begun"):
        next(tables)


def test_kept():
    report = kept(fields=FIELDS, lengths=(16, 32), ways=(("eager", "torch"), ("sdpa", "torch")))
    assert [row["S"] for row in report.rows] == [16, 32]
    for row in report.rows:
        assert row["eager MB"] > row["sdpa MB"] > 0 and row["eager largest"] > 0
