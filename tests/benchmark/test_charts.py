"""Pictures say what the tables do."""

import pytest

pytest.importorskip("matplotlib")

from minidistil.benchmark.charts import draw_ratios, draw_scaling
from minidistil.benchmark.report import Report

PEERS = Report(
    "one: 7 tokens",
    {},
    [
        {"peer": "a", "ratio": 1.0, "low": 1.0, "high": 1.0},
        {"peer": "absent", "note": "absent: b"},
        {"peer": "c", "ratio": 0.5, "low": 0.4, "high": 0.7},
    ],
)
SIZES = Report(
    "",
    {},
    [
        {"batch": b, "length": n, "tokens/s": b * n, "low": 1, "high": 99, "peak MB": peak}
        for n, peak in ((3, 1.0), (4, None))
        for b in (1, 2)
    ],
)


def test_ratios(tmp_path):
    figure = draw_ratios([PEERS, PEERS])
    assert len(figure.axes) == 2
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [1.0, 0, 0.5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "absent", "c"]
    assert axes.get_title() == "one"
    figure.savefig(tmp_path / "x.png")
    with pytest.raises(ValueError, match="no table"):
        draw_ratios([])


def test_scaling(tmp_path):
    figure = draw_scaling(SIZES)
    rate, memory = figure.axes
    assert [[*line.get_ydata()] for line in rate.lines] == [[3, 6], [4, 8]]
    assert [[*line.get_ydata()] for line in memory.lines] == [[1, 1], []]
    assert [text.get_text() for text in rate.get_legend().get_texts()] == ["3 tokens", "4 tokens"]
    figure.savefig(tmp_path / "x.svg")
    with pytest.raises(ValueError, match="no row"):
        draw_scaling(Report("", {}, []))
