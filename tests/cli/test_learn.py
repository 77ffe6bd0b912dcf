"""The verb learn, as a learner uses it: list, start, check, hints, solution."""

import json
import sys

import pytest

from minidistil.learn import apart
from minidistil.learn.exercises import all_exercises, find
from minidistil.learn.running import check

RIGHT = find("03a").solution()
OVERFLOWS = find("03a").wrong()["large logits overflow"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "learn"


@pytest.fixture
def at_once(monkeypatch):
    """Checks in this process: it has PyTorch already."""
    monkeypatch.setattr(apart, "check_apart", lambda exercise, path: check(exercise.checks(), path))


def test_from_the_list_to_a_solved_exercise(shell, folder):
    listed = shell("learn")
    assert listed.code == 0 and "03 attention" in listed.lines
    assert "  [ ] 03a_softmax              Softmax that never overflows" in listed.lines
    assert listed.lines[-2] == "[x] solved, [.] started"
    assert listed.lines[-1] == f"0 of {len(all_exercises())} solved. Next: minidistil learn start"
    started = shell("learn", "start", "03a")
    assert started.lines[1].endswith("learn/03a_softmax.py, then: minidistil learn check 03a")
    path = folder / "03a_softmax.py"
    assert path.read_text(encoding="utf-8") == find("03a").start()
    first = shell("learn", "check", "03a")
    assert first.code == 1 and "03a_softmax: 0 of 2 laws hold" in first.lines
    path.write_text(RIGHT, encoding="utf-8")
    solved = shell("learn", "check")  # all that were started
    assert solved.code == 0 and solved.lines == [
        "03a_softmax: solved, 2 of 2 laws hold",
        f"Next: {find('03b').title}: minidistil learn start 03b",
    ]
    assert any(line.startswith("  [x] 03a_softmax") for line in shell("learn").lines)


def test_one_hint_more_each_time_and_the_smallest_case(shell, folder, at_once):
    shell("learn", "start", "softmax")
    hints = find("03a").hints
    last = "There are no more hints: `minidistil learn solution 03a` shows an answer"
    for number, shown in enumerate((1, 2, 2)):
        text = f"{OVERFLOWS}# try {number}\n"
        (folder / "03a_softmax.py").write_text(text, encoding="utf-8")
        done = shell("learn", "check", "softmax")
        assert (last in done.lines) == (shown == len(hints))
        assert done.code == 1 and sum(line.startswith("Hint ") for line in done.lines) == shown
        assert f"Hint {shown} of {len(hints)}: {hints[shown - 1]}" in done.lines
        assert "Smallest case that fails: Case(shape=(1,), scale=1.0, shift=1000.0, seed=0)" in (
            done.lines
        )
        assert "at (0,) of (1,) it is nan, wanted is 1 (1 of 1 places differ)" in done.lines


def test_only_a_new_answer_that_is_wrong_gets_a_hint(shell, folder, at_once):
    def hints(text=None):
        if text is not None:
            (folder / "03a_softmax.py").write_text(text, encoding="utf-8")
        done = shell("learn", "check", "03a")
        assert done.code == 1
        return [line for line in done.lines if line.startswith("Hint ")], done.lines[-1]

    shell("learn", "start", "03a")
    assert not hints()[0]  # as it was written
    assert not hints("def softmax(x:\n")[0]
    assert len(hints(OVERFLOWS)[0]) == 1
    again, said = hints()
    assert len(again) == 1 and said.startswith("The file is as it was: the next hint comes when")
    assert not hints(find("03a").start())[0]
    assert len(hints(OVERFLOWS)[0]) == 2


def test_a_fault_that_is_to_be_found_is_shown_without_a_hint(shell, folder):
    faulty = next(e for e in all_exercises() if "your part" not in e.start())
    shell("learn", "start", faulty.name)
    done = shell("learn", "check", faulty.name)
    assert done.code == 1 and not any(line.startswith("Hint ") for line in done.lines)


@pytest.mark.slow
def test_a_loop_that_never_ends_is_stopped(shell, folder, monkeypatch):
    monkeypatch.setattr(apart, "SECONDS", 20)  # enough to come to the loop on any machine
    shell("learn", "start", "03a")
    text = find("03a").solution().replace("    return", "    while True: pass\n    return")
    (folder / "03a_softmax.py").write_text(text, encoding="utf-8")
    done = shell("learn", "check", "03a")
    line = 1 + text.splitlines().index("    while True: pass")
    assert done.code == 1 and done.lines[0] == (
        f"03a_softmax: stopped after 20 s, in line {line}: does a loop never end?"
    )
    assert done.lines[1].startswith("Should hold: ")
    assert done.lines[2].startswith("The case that ran: Case(shape=")
    assert len(done.lines) == 3


def test_after_the_last_the_next_is_one_that_was_left_out(shell, folder, at_once):
    names = [exercise.name for exercise in all_exercises()]
    shell("learn", "start", "03a")
    (folder / "03a_softmax.py").write_text(RIGHT, encoding="utf-8")
    for left, said in (
        (names[0], f"Next: {find(names[0]).title}: minidistil learn start {names[0][:3]}"),
        ("03a_softmax", "All exercises are solved."),
    ):
        passed = {name: {"passed": True} for name in names if name != left}
        (folder / "progress.json").write_text(json.dumps(passed))
        assert shell("learn", "check", "03a").lines[-1] == said


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
    assert done.code == 1 and done.err == (
        f"Error: there is no {folder / '03a_softmax.py'}: run this where you ran `start`, or begin "
        "with `minidistil learn start 03a`\n"
    )
    done = shell("learn", "check", "99z")
    assert done.code == 1 and done.err == (
        "Error: '99z' is none of the exercises: `minidistil learn` lists them\n"
    )
    done = shell("learn", "check")
    assert done.code == 1 and done.err.endswith("or begin with `minidistil learn start`\n")


def test_without_hypothesis_the_way_out_is_named(shell, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    shell("learn", "start", "03a")
    done = shell("learn", "check", "03a")
    command = f"{sys.executable} -m pip install hypothesis"
    assert done.code == 1 and done.err == f"Error: checks need hypothesis: {command}\n"


def test_another_folder(shell, folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shell("learn", "--folder", elsewhere, "start", "03a")
    assert (elsewhere / "03a_softmax.py").is_file() and not folder.exists()
    listed = shell("learn", "--folder", elsewhere)
    assert any(line.startswith("  [.] 03a_softmax") for line in listed.lines)
