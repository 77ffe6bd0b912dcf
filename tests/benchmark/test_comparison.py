"""The table of peers: who ran, who could not, and who answers wrong."""

import math

import pytest
import torch

from minidistil.benchmark.comparison import all_peers, compare, error
from minidistil.benchmark.peers import Minidistil, Transformers
from minidistil.benchmark.work import Work
from tests.benchmark.tiny import ROWS, SETTING


class Wrong(Minidistil):
    """Answers what the model does, changed."""

    def __init__(self, name, change):
        super().__init__()
        self.name, self.change = name, change

    def states(self, output):
        return self.change(super().states(output).clone())


class Absent(Minidistil):
    needs = ("abacus",)


def off(states):
    states[0, 0, 0] += 0.5
    return states


def off_in_padding(states):
    states[-1, -1] = 1e9 if states.shape[0] > 1 else states[-1, -1]
    return states


@pytest.fixture(scope="module")
def tables():
    peers = [
        Transformers(),
        Minidistil("int8"),
        Wrong("off", off),
        Wrong("off in padding", off_in_padding),
        Wrong("short", lambda states: states[:, :-1]),
        Wrong("none", lambda states: states * math.nan),
        Absent("bfloat16"),
    ]
    return compare(SETTING, peers)


def test_a_table_a_row_of_work(tables):
    assert [table.title for table in tables] == [
        "one: 7 tokens in 1 x 7, 100% fill",
        "mixed: 17 tokens in 3 x 9, 63% fill",
    ]
    for table in tables:
        assert len(table.rows) == 7 + 2
        assert [row["peer"] for row in table.rows[-2:]] == ["floor float32", "floor bfloat16"]
        for row in table.rows:
            assert ("seconds" in row) == (row["peer"] != "minidistil bfloat16")
            assert len(row.get("seconds", [0, 0])) == SETTING.rounds


def test_the_first_is_the_measure(tables):
    for table in tables:
        first = table.rows[0]
        assert (first["ratio"], first["low"], first["high"]) == (1.0, 1.0, 1.0)
        assert first["largest error"] == 0 and first["x floor"] > 0
        floor = next(row for row in table.rows if row["peer"] == "floor float32")
        ratios = sorted(a / b for a, b in zip(first["seconds"], floor["seconds"], strict=True))
        assert first["x floor"] == pytest.approx(sum(ratios) / 2)
        assert "x floor" not in table.rows[1], "there is no floor in int8"


def test_who_is_wrong_shows_it(tables):
    for table in tables:
        rows = {row["peer"]: row for row in table.rows}
        assert 1e-5 < rows["minidistil int8"]["largest error"] < 0.2
        assert rows["off"]["largest error"] == pytest.approx(0.5, abs=1e-3)
        assert rows["off"]["note"] == "wrong: this is more than rounding"
        assert rows["off in padding"]["largest error"] < 1e-5
        assert rows["off in padding"]["note"] == rows["minidistil int8"]["note"] == ""
        for name in ("short", "none"):
            assert math.isnan(rows[name]["largest error"])
            assert rows[name]["note"] == "wrong: another shape, or NaN"


def test_who_is_absent_is_named(tables):
    for table in tables:
        (line,) = [line for line in table.text().splitlines() if "abacus" in line]
        assert line.startswith("minidistil bfloat16") and line.endswith("absent: abacus")


def test_without_the_first_there_is_nothing_to_compare():
    with pytest.raises(ValueError, match=r"minidistil bfloat16, which is absent: abacus: pip inst"):
        compare(SETTING, [Absent("bfloat16")])


def test_error_by_hand():
    work = Work("", (2, 1))
    want = torch.zeros(2, 2, 3)
    got = want.clone()
    got[1, 1], got[0, 1, 2] = 9, -0.25
    assert error(got, want, work) == 0.25
    assert math.isnan(error(got[:1], want, work))


def test_all_peers():
    names = [peer.name for peer in all_peers()]
    assert names[0] == "transformers sdpa float32" and len({*names}) == len(names) == 14
    assert len(ROWS) == 2
