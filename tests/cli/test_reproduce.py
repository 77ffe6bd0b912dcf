"""The verb reproduce: what it refuses before it works for an hour, and what it leaves."""

import json
import shutil
from dataclasses import replace

import pytest

from minidistil.reproduction import texts
from tests.helpers.weights import minilm_folder
from tests.reproduction.test_student import few_texts


@pytest.mark.parametrize("seeds", ["0,one", "-1", "", "0,,1"])
def test_seeds_are_numbers(shell, tmp_path, seeds):
    done = shell("reproduce", "student", "--output", tmp_path, "--seeds", seeds)
    assert done.code == 2 and f"'--seeds': {seeds!r}, expected such as 0,1,2" in done.err


def test_a_folder_without_the_texts_is_named(shell, tmp_path):
    minilm_folder()
    done = shell("reproduce", "student", "--output", tmp_path / "x", "--data", tmp_path)
    assert done.code == 1 and "austen-emma.txt is not there" in done.err


@pytest.mark.slow
def test_scores_of_students_and_controls(shell, tmp_path, monkeypatch):
    minilm_folder()
    few = few_texts()
    pairs = {"book": [(a, b) for a, b in zip(few.learn, few.learn[::-1], strict=True)][:15]}
    few = replace(
        few, labelled={**few.labelled, "judge": few.labelled["choose"]}, pairs={"judge": pairs}
    )
    monkeypatch.setattr(texts, "read_all", lambda data, cache: few)
    arguments = ("reproduce", "student", "--output", tmp_path / "runs")
    done = shell(*arguments, "--data", tmp_path, "--controls")
    assert done.code == 0, done.err
    scores = json.loads((tmp_path / "runs" / "scores.json").read_text())
    assert [*scores] == ["control 0", "labeller", "student 0", "untrained"]
    assert len({line["agreement"]["book"] for line in scores.values()}) == 4
    assert all(-1 < line["agreement"]["all"] < 1 for line in scores.values())
    assert all(0 <= line["accuracy"]["reviews"] <= 1 for line in scores.values())
    assert len(done.lines) == 8 and done.lines[0].startswith("labeller  agreement    book ")
    # Another seed later: what was scored before stays.
    assert shell(*arguments, "--seeds", "0,1").code == 0
    later = json.loads((tmp_path / "runs" / "scores.json").read_text())
    assert later.keys() == scores.keys() | {"student 1"}
    assert later["student 0"] == scores["student 0"]
    refused = shell(*arguments, "--every", 2)
    assert refused.code == 1 and "holds other texts than this run's" in refused.err


@pytest.mark.slow
def test_the_ablation_of_masked_lm(shell, tmp_path, monkeypatch):
    minilm_folder()
    learn = [f"The number {i} comes before {i + 1}, as everybody here knows." for i in range(24)]
    judge = [f"The number {i} comes after the number {i - 1}, does it not?" for i in range(40, 52)]
    monkeypatch.setattr(texts, "read_corpus", lambda data, cache: (learn, judge))
    arguments = ("reproduce", "masked-lm", "--output", tmp_path / "runs", "--data", tmp_path)
    done = shell(*arguments, "--ablation", "--every", 2)
    assert done.code == 0, done.err
    variants = ("all losses", "no ce", "no mlm", "no cos", "random layers")
    names = ["teacher", "untrained", *(f"{variant}, every 2, seed 0" for variant in variants)]
    assert [line.partition(" masked words")[0].strip() for line in done.lines] == names
    scores = json.loads((tmp_path / "runs" / "scores.json").read_text())
    assert scores.keys() == {*names}
    assert len({line["masked words"]["loss"] for line in scores.values()}) == 7
    drawn = (tmp_path / "runs" / "every 2, seed 0.svg").read_text()
    assert all(f"<!-- {variant} -->" in drawn for variant in variants)
    assert "<!-- teacher -->" in (tmp_path / "runs" / "teacher.svg").read_text()
    assert shell(*arguments).code == 0  # the teacher is there, and serves all
    later = json.loads((tmp_path / "runs" / "scores.json").read_text())
    assert later.keys() - scores.keys() == {"all losses, every 1, seed 0"}
    assert (tmp_path / "runs" / "every 1, seed 0.svg").exists()
    # Scores outlive the folders they came from; the picture shows what is left.
    shutil.rmtree(tmp_path / "runs" / "no ce, every 2, seed 0")
    assert shell(*arguments, "--every", 2).code == 0
    drawn = (tmp_path / "runs" / "every 2, seed 0.svg").read_text()
    assert "<!-- no mlm -->" in drawn and "<!-- no ce -->" not in drawn
    (tmp_path / "runs" / "no mlm, every 2, seed 0" / "log.jsonl").unlink()
    assert shell(*arguments, "--every", 2).code == 0
