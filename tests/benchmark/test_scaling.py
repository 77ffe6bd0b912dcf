"""Tokens a second: one row a batch size and length."""

import pytest

from minidistil.benchmark import scaling as module
from minidistil.benchmark.scaling import scaling
from tests.benchmark.tiny import SETTING


def test_table(monkeypatch):
    asked = []

    def peak(function, rehearsal, **arguments):
        asked.append(arguments["lengths"])
        return None if len(asked) == 1 else 2e6

    monkeypatch.setattr(module, "peak_memory", peak)
    (report,) = scaling(SETTING, batches=(1, 2), lengths=(3, 4))
    shapes = [(row["batch"], row["length"]) for row in report.rows]
    assert shapes == [(1, 3), (2, 3), (1, 4), (2, 4)]
    assert asked == [[3], [3, 3], [4], [4, 4]]
    assert [row["peak MB"] for row in report.rows] == [None, 2, 2, 2]
    for row in report.rows:
        rates = [row["batch"] * row["length"] / taken for taken in row["seconds"]]
        assert row["tokens/s"] == pytest.approx(sum(rates) / 2)
        assert row["low"] <= row["tokens/s"] <= row["high"]
