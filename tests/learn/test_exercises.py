"""Every exercise: its solution is accepted; what a learner starts from and wrong ones are not."""

import ast
import itertools
import re
from importlib.util import find_spec

import pytest
from click.testing import CliRunner

from minidistil.cli.learn import learn
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


def test_faults_of_a_mask_are_told_apart(file):
    """A text without keys is shown only to whom it is the fault."""
    exercise = find("03c")
    shown = {
        why: check(exercise.checks(), file(exercise, exercise.wrong()[why]))
        for why in ("the mask is forgotten", "the queries are masked", "a text without keys is NaN")
    }
    forgotten, wrong_axis, empty = shown.values()
    assert "mask=((1, 0),)" in forgotten.case and "mask=((1, 0),)" in wrong_axis.case
    assert "mask=((0,),)" in empty.case and empty.sentence.startswith("A text without any key")
    assert len({one.reason for one in shown.values()}) == 3
    assert "text 0 has m = [1, 0], query 0 the scores [" in forgotten.reason
    assert empty.reason.endswith("text 0 has no key, so all its weights are 0")


@pytest.mark.parametrize(
    ("name", "why", "explanation"),
    [
        ("12c", "the rise is rounded down", "it is 1, wanted is 0.5; W = ceil(0.05 * 1) = 1, so"),
        (
            "02d",
            "the exponent is k / D",
            "k = 1, so it is sin(1 / 10000^(2 / 3)) = sin(0.00215443)",
        ),
        (
            "11a",
            "0 log 0 is NaN",
            "[[0.0, 1.2534]], 0 where p is 0 (0 log 0); their sum, times T^2",
        ),
    ],
)
def test_where_the_wanted_number_comes_from(file, name, why, explanation):
    exercise = find(name)
    outcome = check(exercise.checks(), file(exercise, exercise.wrong()[why]))
    assert explanation in outcome.reason


@pytest.mark.parametrize(
    ("name", "told"), [("12c", "W is rounded up: math.ceil"), ("11a", "0 log 0")]
)
def test_the_first_hint_names_what_is_most_often_wrong(name, told):
    assert told in find(name).hints[0]


def test_what_needs_triton_is_said():
    root = ALL[0].folder
    tutorials = {path.name[:2] for path in root.glob("*.py") if needs_triton(path.read_text())}
    assert tutorials == {"07", "08", "09", "10"}
    assert {one.chapter for one in ALL if needs_triton(one.solution())} == {"07", "08"}
    page = (root.parent / "docs" / "teaching.md").read_text(encoding="utf-8")
    for text in (CliRunner().invoke(learn, ["--help"]).output, page):
        assert "Tutorials 07 to 10 and some exercises of 07 and 08 need Triton" in " ".join(
            text.split()
        )


def needs_triton(text):
    return re.search(
        r"^(import triton|from minidistil_kernels import .*\blab\b)", text, re.MULTILINE
    )


@pytest.mark.parametrize("exercise", ALL, ids=ids)
def test_form(exercise):
    assert re.fullmatch(r"\d\d[a-z]_[a-z0-9_]+", exercise.name)
    assert 2 <= len(exercise.hints) <= 3 and exercise.hints == exercise.checks().HINTS
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


def test_an_unknown_name_says_where_they_are_listed():
    with pytest.raises(ValueError, match=r"'03z' is none of the exercises: `minidistil learn`"):
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
