"""Running a learner's file: what it may do wrong, and what is said of it."""

import os
import re
import sys
from types import SimpleNamespace

import pytest
from hypothesis import strategies as st

from minidistil.learn.laws import Law
from minidistil.learn.running import Outcome, check, run_file


def positive(answer, case):
    """The result is positive."""
    assert answer.f(case) > 0, f"it is {answer.f(case)}"


def small(answer, case):
    """The result is below 10."""
    assert answer.f(case) < 10


CHECKS = SimpleNamespace(LAWS=[Law(positive, st.integers(0, 100)), Law(small, st.integers(0, 5))])


def outcome_of(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    return check(CHECKS, path)


def test_all_laws_hold(tmp_path):
    outcome = outcome_of(tmp_path, "def f(x):\n    return x + 1\n")
    assert outcome.passed and (outcome.held, outcome.laws, outcome.message) == (2, 2, "")


def test_all_laws_are_tried_and_counted(tmp_path):
    outcome = outcome_of(tmp_path, "def f(x):\n    return -1\n")  # the first fails alone
    assert not outcome.passed and (outcome.held, outcome.laws) == (1, 2)
    assert outcome.sentence == "The result is positive" and outcome.case == "0"
    assert outcome.reason.startswith("it is -1") and not outcome.stopped


def test_what_runs_is_told_before_it_runs(tmp_path):
    told = []
    path = tmp_path / "mine.py"
    path.write_text("def f(x):\n    return x + 1\n", encoding="utf-8")
    check(CHECKS, path, examples=3, tell=lambda *what: told.append(what))
    assert {sentence for sentence, _ in told} == {law.sentence for law in CHECKS.LAWS}
    assert told[0] == ("The result is positive", "0")


def test_a_check_that_was_stopped_shows_the_case_that_ran():
    outcome = Outcome(False, 0, 2, "stopped", "It ends", "Case(1)", stopped=True)
    assert outcome.message == "stopped\nShould hold: It ends.\nThe case that ran: Case(1)"


def test_the_first_law_that_fails_and_its_smallest_case(tmp_path):
    outcome = outcome_of(tmp_path, "def f(x):\n    return 50 - x\n")
    assert not outcome.passed and outcome.held == 0  # 50 is not below 10, either
    assert outcome.message.startswith(
        "Should hold: The result is positive.\nSmallest case that fails: 50\nit is 0"
    )
    assert outcome_of(tmp_path, "def f(x):\n    return x + 6\n").held == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(x):\n    raise NotImplementedError('your part')\n", "Not written yet"),
        ("def f(x:\n", "can't be run: SyntaxError"),
        ("import nowhere_at_all\n", "can't be run: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "can't be run: SystemExit: 3"),
        ("def g(x):\n    return x\n", "AttributeError: .*has no attribute 'f'"),
        ("def f(x):\n    raise SystemExit\n", "SystemExit"),
        ("def f(x):\n    return 'a'\n", "TypeError"),
    ],
)
def test_what_files_do(tmp_path, text, message):
    outcome = outcome_of(tmp_path, text)
    assert not outcome.passed
    untried = "can't be run" in message or message == "Not written yet"
    assert bool(outcome.case) != untried
    assert re.search(message, outcome.message)


def test_a_file_is_run_like_a_script(tmp_path):
    (tmp_path / "beside.py").write_text("VALUE = 7\n")
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from beside import VALUE\n\n\n@dataclass\nclass A:\n    x: int = VALUE\n"
    )
    assert run_file(path).A().x == 7
    before = [*sys.path]
    path.write_text(path.read_text().replace("7", "8"))
    run_file(path)
    assert sys.path == before and not (tmp_path / "__pycache__" / "mine.cpython-311.pyc").exists()


def test_another_text_of_the_same_second_is_not_taken_for_this_one(tmp_path):
    path = tmp_path / "mine.py"
    for value in range(5):
        path.write_text(f"VALUE = {value}\n")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        assert value == run_file(path).VALUE


def test_no_python_file(tmp_path):
    (tmp_path / "notes.txt").write_text("no code")
    with pytest.raises(ValueError, match=r"notes.txt is no Python file: its name must end in .py"):
        run_file(tmp_path / "notes.txt")
