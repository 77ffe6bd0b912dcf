"""Every exercise: its solution is accepted; what a learner starts from and wrong ones are not."""

import ast
import itertools
import re
from importlib.util import find_spec

import pytest

from minidistil.learn import exercises
from minidistil.learn.exercises import Exercise, all_exercises, find
from minidistil.learn.running import check

ALL = all_exercises()


def ids(exercise):
    return exercise.name


@pytest.fixture
def file(tmp_path, request):
    """Write an answer where a learner would have it."""

    number = itertools.count()

    def write(exercise, text):
        if "import triton" in text and find_spec("triton") is None:
            pytest.skip("needs Triton, which is there on Linux")
        path = tmp_path / f"{exercise.name}_{next(number)}.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("exercise", ALL, ids=ids)
def test_the_solution_is_accepted_and_the_start_is_not(exercise, file):
    checks = exercise.checks()
    outcome = check(checks, file(exercise, exercise.solution()))
    assert outcome.passed, outcome.message
    assert outcome.held == outcome.laws == len(checks.LAWS) > 0
    start = check(checks, file(exercise, exercise.start()))
    assert not start.passed
    if "your part" in exercise.start():
        assert start.message.startswith("Not written yet")
    else:  # a fault is to be found: the learner sees a case
        assert "Smallest case that fails" in start.message


@pytest.mark.slow
@pytest.mark.parametrize("exercise", ALL, ids=ids)
def test_wrong_answers_are_refused_with_a_case(exercise, file):
    wrong = exercise.wrong()
    assert len(wrong) >= 2
    for why, text in wrong.items():
        ast.parse(text)
        outcome = check(exercise.checks(), file(exercise, text))
        assert not outcome.passed, f"accepted, though {why}"
        assert re.search(r"^Smallest case that fails: \w+\(", outcome.message, re.MULTILINE)


@pytest.mark.parametrize("exercise", ALL, ids=ids)
def test_form(exercise):
    assert re.fullmatch(r"\d\d[a-z]_[a-z0-9_]+", exercise.name)
    assert 2 <= len(exercise.checks().HINTS) <= 3
    assert re.search(r"^Source: ", exercise.task, re.MULTILINE)
    assert len(exercise.title) <= 60
    for text in (exercise.start(), exercise.solution()):
        tree = ast.parse(text)
        assert not any(mark in text for mark in ("# answer", "# instead", "# end"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                assert ast.get_docstring(node)
    assert exercise.start() != exercise.solution()


def test_there_are_many_and_each_belongs_to_a_chapter():
    assert len(ALL) >= 30
    names = [exercise.name.split("_", 1) for exercise in ALL]
    assert len({short for short, _ in names}) == len({topic for _, topic in names}) == len(ALL)
    assert [exercise.name for exercise in ALL] == sorted(exercise.name for exercise in ALL)
    files = {path.stem for path in (ALL[0].folder / "solutions").glob("*.py")}
    assert files == {exercise.name for exercise in ALL}


@pytest.mark.parametrize("name", ["03a", "softmax", "03a_softmax", "some/where/03a_softmax.py"])
def test_names(name):
    assert find(name).name == "03a_softmax"


def test_an_unknown_name_shows_those_that_are_known():
    with pytest.raises(ValueError, match=r"'03z' is none of the exercises: .*03a_softmax"):
        find("03z")


def exercise_of(tmp_path, solution, checks=""):
    for kind, text in (("solutions", solution), ("exercises", checks)):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / "01a_made_up.py").write_text(text, encoding="utf-8")
    return Exercise("01a_made_up", tmp_path)


MARKED = '''"""A title.

The task.
"""


def double(x):
    """Twice x."""
    # answer
    # a comment that stays
    return 2 * x
    # end


def triple(x):
    """Three times x."""
    if x:
        # answer
        return 3 * x
        # instead
        # if x > 1:
        #     return x
        #
        # return 2 * x
        # end
    return 0
'''


def test_start_and_solution_from_one_text(tmp_path):
    exercise = exercise_of(tmp_path, MARKED)
    assert exercise.title == "A title" and exercise.task == "A title.\n\nThe task."
    assert exercise.solution() == (
        '"""A title.\n\nThe task.\n"""\n\n\ndef double(x):\n    """Twice x."""\n'
        "    # a comment that stays\n    return 2 * x\n\n\ndef triple(x):\n"
        '    """Three times x."""\n    if x:\n        return 3 * x\n    return 0\n'
    )
    assert exercise.start() == (
        '"""A title.\n\nThe task.\n"""\n\n\ndef double(x):\n    """Twice x."""\n'
        '    raise NotImplementedError("your part")\n\n\ndef triple(x):\n'
        '    """Three times x."""\n    if x:\n        if x > 1:\n            return x\n\n'
        "        return 2 * x\n    return 0\n"
    )


@pytest.mark.parametrize(("old", "times"), [("4 * x", 0), ("x", 5)])
def test_a_wrong_answer_must_replace_one_place(tmp_path, old, times):
    exercise = exercise_of(tmp_path, MARKED, f"WRONG = {{'why': ({old!r}, 'y')}}")
    with pytest.raises(ValueError, match=f"01a_made_up: {re.escape(repr(old))} stands"):
        exercise.wrong()


def test_nothing_installed_is_an_error_with_both_places(tmp_path, monkeypatch):
    monkeypatch.setattr(exercises, "ROOT", tmp_path / "a")
    monkeypatch.setattr(exercises, "INSTALLED", [tmp_path / "b"])
    with pytest.raises(FileNotFoundError, match=r"no exercises in .*a, .*b: install minidistil"):
        all_exercises()


def test_a_wheel_has_them_beside_its_data(tmp_path, monkeypatch):
    exercise_of(tmp_path, MARKED)
    monkeypatch.setattr(exercises, "ROOT", tmp_path / "nowhere")
    monkeypatch.setattr(exercises, "INSTALLED", [tmp_path / "b", tmp_path])
    assert [one.name for one in all_exercises()] == ["01a_made_up"]
