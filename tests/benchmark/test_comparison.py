"""The table of peers: who ran, who could not, and who answers wrong."""

import dataclasses
import math

import pytest
import torch

from minidistil.benchmark.comparison import all_peers, compare, error
from minidistil.benchmark.memory import STATUS
from minidistil.benchmark.peers import Minidistil
from minidistil.benchmark.work import Work
from tests.benchmark.tiny import ROWS, SETTING


class Absent(Minidistil):
    needs = ("abacus",)


class Off(Minidistil):
    """Answers what the model does, but for one number."""

    def __init__(self):
        super().__init__()
        self.name = "off"

    def states(self, output):
        states = super().states(output).clone()
        states[0, 0, 0] += 0.5
        return states


class Broken(Minidistil):
    def load(self, saved):
        raise ArithmeticError("it does not add up\nbelow the line")


processes = pytest.mark.slow  # each peer starts one, which imports PyTorch


@pytest.fixture(scope="module")
def tables():
    peers = [Minidistil(way="modules"), Minidistil("int8"), Off(), Absent("bfloat16"), Broken()]
    return [*compare(SETTING, peers)]


@processes
def test_a_table_a_row_of_work(tables):
    assert [table.title for table in tables] == [
        "one: 7 tokens in 1 x 7, 100% fill",
        "mixed: 17 tokens in 3 x 9, 63% fill",
    ]
    for table in tables:
        assert len(table.rows) == 5 + 2
        assert [row["peer"] for row in table.rows[-2:]] == ["floor float32", "floor bfloat16"]
        for row in table.rows:
            assert ("seconds" in row) == (
                row["peer"] not in ("minidistil bfloat16", "minidistil float32")
            )
            assert len(row.get("seconds", [0, 0])) == SETTING.rounds


@processes
def test_the_first_is_the_measure(tables):
    for table in tables:
        first = table.rows[0]
        assert (first["ratio"], first["low"], first["high"]) == (1.0, 1.0, 1.0)
        assert first["largest error"] == 0 and first["x floor"] > 0
        floor = next(row for row in table.rows if row["peer"] == "floor float32")
        ratios = sorted(a / b for a, b in zip(first["seconds"], floor["seconds"], strict=True))
        assert first["x floor"] == pytest.approx(sum(ratios) / 2)
        assert "x floor" not in table.rows[1], "there is no floor in int8"


@processes
def test_who_is_wrong_shows_it(tables):
    for table in tables:
        rows = {row["peer"]: row for row in table.rows}
        assert 1e-5 < rows["minidistil int8"]["largest error"] < 0.2
        assert rows["minidistil int8"]["note"] == rows["minidistil modules float32"]["note"] == ""
        assert rows["off"]["largest error"] == pytest.approx(0.5, abs=1e-3)
        assert rows["off"]["note"] == "wrong: this is more than rounding"


@processes
@pytest.mark.skipif(not STATUS.exists(), reason="reads what Linux knows")
def test_memory(tables):
    for row in tables[1].rows[:3]:
        assert 0 <= row["MB"] < 100, "a tiny model, above another one"


@processes
def test_who_can_not_run_is_named(tables):
    for table in tables:
        lines = table.text().splitlines()
        (line,) = [line for line in lines if "abacus" in line]
        assert line.startswith("minidistil bfloat16") and line.endswith("absent: abacus")
        (line,) = [line for line in lines if "add up" in line]
        assert line.startswith("minidistil float32")
        assert line.endswith("ArithmeticError: it does not add up")


@processes
def test_without_the_first_there_is_nothing_to_compare():
    with pytest.raises(ValueError, match=r"minidistil bfloat16, which is absent: abacus: pip inst"):
        next(compare(SETTING, [Absent("bfloat16")]))
    with pytest.raises(ValueError, match="minidistil float32: failed: .*does not add up"):
        next(compare(SETTING, [Broken()]))


@processes
def test_a_table_comes_before_the_next_row_is_begun():
    """Guards an hour's work against an interruption."""
    rows = [SETTING.rows[0], Work("too long", (600,))]
    tables = compare(dataclasses.replace(SETTING, rows=rows), [Minidistil()])
    assert next(tables).title.startswith("one: ")
    with pytest.raises(RuntimeError, match="minidistil float32: ValueError: .*position"):
        next(tables)


def test_error_by_hand():
    work = Work("", (2, 1))
    want = torch.zeros(2, 2, 3)
    got = want.clone()
    got[1, 1], got[0, 1, 2] = 9, -0.25
    assert error(got, want, work) == 0.25
    assert math.isnan(error(got[:1], want, work))


def test_all_peers():
    names = [peer.name for peer in all_peers()]
    assert names[0] == "transformers sdpa float32" and len({*names}) == len(names) == 15
    assert len(ROWS) == 2
