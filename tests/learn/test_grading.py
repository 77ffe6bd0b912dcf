"""A class is graded: submissions that end, loop, eat memory or cheat harm themselves alone."""

import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from minidistil.learn import grading
from minidistil.learn.exercises import find
from minidistil.learn.grading import grade_all, table
from minidistil.learn.running import Outcome
from tests.cli.running import Shell

if not sys.platform.startswith("linux"):
    pytest.skip("the grader's limits are tested on Linux", allow_module_level=True)

SUBMISSIONS = {
    "ada": find("03a").solution(),
    "bob": find("03a").start(),
    "cyd": "while True:\n    pass\n",
    "dan": "import os\n\nos._exit(0)\n",
    "eve": "x = bytearray(8 << 30)\n",
    "fay": "print('{}')\nopen('outcome.json', 'w').write('{\"passed\": true}')\n1 / 0\n",
    "gus": "import subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n",
    "hal": "import signal, os\n\nos.kill(os.getpid(), signal.SIGSEGV)\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("submissions")
    for name, text in SUBMISSIONS.items():
        (top / name).mkdir()
        (top / name / "03a_softmax.py").write_text(text, encoding="utf-8")
    (top / "ada" / "notes.py").write_text("no exercise")
    (top / "README.py").write_text("of nobody")
    return top


@pytest.fixture(scope="module")
def grades(folder):
    return grade_all(folder, seconds=8, memory=2 << 30, jobs=2)


@pytest.mark.slow
def test_each_gets_its_own_outcome(grades):
    outcome = {name: one["03a_softmax"] for name, one in grades.items()}
    assert outcome.keys() == SUBMISSIONS.keys()
    assert outcome["ada"] == asdict(Outcome(True, 2, 2))
    assert not any(one["passed"] for name, one in outcome.items() if name != "ada")
    assert outcome["bob"]["reason"].startswith("Not written yet")
    assert outcome["cyd"]["reason"] == "stopped after 8 s of processor time"
    assert outcome["dan"]["reason"].startswith("it ended the process with code 0")
    assert "MemoryError" in outcome["eve"]["reason"]
    assert "ZeroDivisionError" in outcome["fay"]["reason"]
    assert "has no attribute 'softmax'" in outcome["gus"]["reason"]
    assert outcome["hal"]["reason"].startswith("it ended by SIGSEGV")


@pytest.mark.slow
def test_nothing_is_left_running_or_lying_about(grades, folder):
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            commands.append(path.read_text())
    assert commands and not any("time.sleep(1000)" in command for command in commands)
    assert sorted(path.name for path in folder.iterdir()) == ["README.py", *sorted(SUBMISSIONS)]
    files = {path.name for path in folder.glob("*/*")}
    assert files == {"03a_softmax.py", "notes.py"}


@pytest.mark.slow
def test_a_sleeper_is_stopped_by_the_clock(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "IMPORTS", 4)
    (tmp_path / "03a_softmax.py").write_text("import time\n\ntime.sleep(500)\n")
    outcome = grading.grade_one(tmp_path / "03a_softmax.py", seconds=1, memory=2 << 30)
    assert outcome.message == "stopped after 5 s" and outcome.stopped


@pytest.mark.slow
def test_the_table(grades):
    lines = table(grades).splitlines()
    assert lines[0] == "learner   03a  solved"
    assert lines[1] == "ada         x       1" and lines[2] == "bob       0/2       0"
    assert "cyd 03a: stopped after 8 s of processor time" in lines


def test_the_table_tells_wrong_from_endless_and_says_why():
    one = {
        "ada": {"03a_softmax": asdict(Outcome(True, 2, 2))},
        "bob": {"03a_softmax": asdict(Outcome(False, 1, 2, "wanted 0, got 1\nmore", "It", "1"))},
        "cyd": {"03c_key_mask": asdict(Outcome(False, 0, 4, "stopped after 8 s", stopped=True))},
    }
    assert table(one).splitlines() == [
        "learner   03a   03c  solved",
        "ada         x     -       1",
        "bob       1/2     -       0",
        "cyd         -  stop       0",
        "bob 03a: wanted 0, got 1",
        "cyd 03c: stopped after 8 s",
    ]


def test_the_verb_writes_json_too(folder, tmp_path, monkeypatch, capsys):
    one = tmp_path / "class"
    (one / "ada").mkdir(parents=True)
    (one / "ada" / "03a_softmax.py").write_text(SUBMISSIONS["ada"])
    shell = Shell(monkeypatch, capsys)
    done = shell("learn", "grade", one, "--json", tmp_path / "grades.json")
    assert done.code == 0 and done.lines[1].split() == ["ada", "x", "1"]
    assert json.loads((tmp_path / "grades.json").read_text())["ada"]["03a_softmax"]["passed"]
    done = shell("learn", "grade", tmp_path / "class" / "ada")
    assert done.code == 1 and "holds no LEARNER/EXERCISE.py" in done.err
