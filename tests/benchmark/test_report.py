"""Tables to read, and the same numbers as JSON."""

import json
import math

from minidistil.benchmark.report import Report, in_one_line, milliseconds, ratio, save
from minidistil.benchmark.timing import Spread

REPORT = Report(
    "Two",
    {"who": "", "ms": ".1f", "note": ""},
    [{"who": "a", "ms": 12.34, "seconds": [0.01234]}, {"who": "longer", "ms": None, "note": "no"}],
    ["A note."],
)


def test_text():
    assert REPORT.text().splitlines() == [
        "Two",
        "who       ms  note",
        "a       12.3  -",
        "longer     -  no",
        "A note.",
    ]
    assert in_one_line({"threads": 2, "openvino": None, "x": 0}) == "threads 2, x 0"


def test_json(tmp_path):
    save(tmp_path / "x.json", "floor", {"threads": 2}, [REPORT])
    value = json.loads((tmp_path / "x.json").read_text())
    assert value == {
        "bench": "floor",
        "machine": {"threads": 2},
        "tables": [{"title": "Two", "rows": REPORT.rows, "notes": ["A note."]}],
    }


def test_json_has_no_nan(tmp_path):
    save(tmp_path / "x.json", "peers", {}, [Report("", {}, [{"error": math.nan, "x": 1.0}])])
    assert json.loads((tmp_path / "x.json").read_text())["tables"][0]["rows"] == [
        {"error": None, "x": 1.0}
    ]


def test_columns_of_spreads():
    assert milliseconds(Spread(1.0, 2.0, 3.0)) == {"ms": 2e3, "ms low": 1e3, "ms high": 3e3}
    assert ratio(Spread(1.0, 2.0, 3.0)) == {"ratio": 2.0, "low": 1.0, "high": 3.0}
