"""Curves show what the log says."""

import json

import pytest

from minidistil.visual.curves import draw_curves


def write_log(folder, lines):
    folder.mkdir()
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "log.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_every_loss_of_every_run(tmp_path):
    lines = [
        {"step": n, "loss": 1 / n, "mlm": 2 / n, "learning_rate": 0.1, "tokens_per_second": 9.0}
        for n in (10, 20, 30)
    ]
    runs = {name: write_log(tmp_path / name, lines) for name in ("a", "b")}
    figure = draw_curves(runs)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "mlm", "learning rate"]
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["a", "b"]
        assert axes.lines[0].get_xdata().tolist() == [10, 20, 30]
    assert figure.axes[1].lines[1].get_ydata().tolist() == [2 / 10, 2 / 20, 2 / 30]


def test_a_loss_that_the_first_run_lacks(tmp_path):
    line = {"step": 1, "loss": 1.0, "learning_rate": 0.1}
    runs = {"a": [line], "b": [line | {"ce": 3.0}]}
    figure = draw_curves({name: write_log(tmp_path / name, log) for name, log in runs.items()})
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "ce", "learning rate"]
    assert [line.get_ydata().tolist() for line in figure.axes[1].lines] == [[], [3.0]]


def test_errors(tmp_path):
    empty = write_log(tmp_path / "empty", [])
    with pytest.raises(ValueError, match="the run 'x' in .*empty has no line"):
        draw_curves({"x": empty})
    with pytest.raises(ValueError, match="has no line"):
        draw_curves({"x": tmp_path / "nowhere"})
