"""The verb learn, as a learner uses it: list, start, check, hints, solution."""

import json
import sys

import pytest

from minidistil.learn.exercises import all_exercises, find

RIGHT = find("03a").solution()
OVERFLOWS = find("03a").wrong()["large logits overflow"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "learn"


def test_from_the_list_to_a_solved_exercise(shell, folder):
    listed = shell("learn")
    assert listed.code == 0 and "03 attention" in listed.lines
    assert "  [ ] 03a_softmax              Softmax that never overflows" in listed.lines
    assert listed.lines[-1] == f"0 of {len(all_exercises())} solved. Next: minidistil learn start"
    started = shell("learn", "start", "03a")
    assert started.lines[1].endswith("learn/03a_softmax.py, then: minidistil learn check 03a")
    path = folder / "03a_softmax.py"
    assert path.read_text(encoding="utf-8") == find("03a").start()
    first = shell("learn", "check", "03a")
    assert first.code == 1 and "03a_softmax: 0 of 2 laws hold" in first.lines
    path.write_text(RIGHT, encoding="utf-8")
    solved = shell("learn", "check")  # all that were started
    assert solved.code == 0 and solved.lines == ["03a_softmax: solved, 2 of 2 laws hold"]
    assert any(line.startswith("  [x] 03a_softmax") for line in shell("learn").lines)


def test_one_hint_more_each_time_and_the_smallest_case(shell, folder):
    shell("learn", "start", "softmax")
    (folder / "03a_softmax.py").write_text(OVERFLOWS, encoding="utf-8")
    hints = find("03a").checks().HINTS
    for shown in (1, 2, 2):
        done = shell("learn", "check", "softmax")
        assert done.code == 1 and sum(line.startswith("Hint ") for line in done.lines) == shown
        assert f"Hint {shown} of {len(hints)}: {hints[shown - 1]}" in done.lines
        assert "Smallest case that fails: Case(shape=(1,), scale=1.0, shift=1000.0, seed=0)" in (
            done.lines
        )
        assert "at (0,) of (1,) it is nan, wanted is 1 (1 of 1 places differ)" in done.lines


def test_start_without_a_name_takes_the_first_that_is_not_solved(shell, folder):
    names = [exercise.name for exercise in all_exercises()]
    shell("learn", "start")
    assert (folder / f"{names[0]}.py").is_file()
    (folder / "progress.json").write_text(json.dumps({names[0]: {"passed": True}}))
    shell("learn", "start")
    assert (folder / f"{names[1]}.py").is_file()
    (folder / "progress.json").write_text(json.dumps({name: {"passed": True} for name in names}))
    assert "all exercises are solved" in shell("learn", "start").err


def test_a_learners_work_is_never_overwritten(shell, folder):
    shell("learn", "start", "03a")
    (folder / "03a_softmax.py").write_text("mine")
    done = shell("learn", "start", "03a")
    assert done.code == 1 and "is there already: edit it, or remove it" in done.err
    assert (folder / "03a_softmax.py").read_text() == "mine"


def test_a_solution_is_shown_and_remembered(shell, folder):
    done = shell("learn", "solution", "03a")
    assert done.code == 0 and done.out == RIGHT
    assert json.loads((folder / "progress.json").read_text())["03a_softmax"]["looked"]


def test_errors(shell, folder):
    done = shell("learn", "check", "03a")
    assert done.code == 1 and "has no such file: minidistil learn start 03a" in done.err
    done = shell("learn", "check", "99z")
    assert done.code == 1 and "'99z' is none of the exercises" in done.err
    assert shell("learn", "check").code == 1


def test_without_hypothesis_the_way_out_is_named(shell, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    shell("learn", "start", "03a")
    done = shell("learn", "check", "03a")
    assert done.code == 1 and "checks need hypothesis: pip install 'minidistil[learn]'" in done.err


def test_another_folder(shell, folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shell("learn", "--folder", elsewhere, "start", "03a")
    assert (elsewhere / "03a_softmax.py").is_file() and not folder.exists()
    listed = shell("learn", "--folder", elsewhere)
    assert any(line.startswith("  [.] 03a_softmax") for line in listed.lines)
