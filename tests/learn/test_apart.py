"""A check in a process of its own: it is stopped, it may end itself, and Ctrl-C ends it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minidistil.learn import apart
from minidistil.learn.apart import check_apart
from minidistil.learn.exercises import find

EXERCISE = find("03a")


def outcome_of(folder, text):
    path = folder / "03a_softmax.py"
    path.write_text(text, encoding="utf-8")
    return check_apart(EXERCISE, path)


def test_what_comes_of_it_is_that_of_a_check(tmp_path):
    assert outcome_of(tmp_path, EXERCISE.solution()).passed
    wrong = outcome_of(tmp_path, EXERCISE.wrong()["large logits overflow"])
    assert not wrong.passed and not wrong.stopped and "shift=1000.0" in wrong.case


@pytest.mark.slow
def test_a_loop_is_stopped_and_its_line_named_in_a_folder_of_any_name(tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "SECONDS", 20)
    folder = tmp_path / "Übung 三"
    folder.mkdir()
    outcome = outcome_of(folder, "x = 1\nwhile True:\n    x = 2\n")
    assert outcome.stopped and not outcome.case
    assert re.fullmatch(
        r"stopped after 20 s, in line [23]: does a loop never end\?", outcome.message
    )


def test_a_file_may_end_the_process(tmp_path):
    outcome = outcome_of(tmp_path, "import os\n\nos._exit(3)\n")
    assert outcome.stopped
    assert outcome.message == "it ended the process with code 3 before the check was done"


@pytest.mark.slow
def test_a_file_of_the_current_folder_is_not_taken_for_a_module_of_pythons(tmp_path, monkeypatch):
    (tmp_path / "signal.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    learn = tmp_path / "learn"
    learn.mkdir()
    assert outcome_of(learn, EXERCISE.solution()).passed


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal's Ctrl-C is sent by POSIX means")
def test_ctrl_c_ends_it_without_a_traceback(tmp_path):
    (tmp_path / "learn").mkdir()
    text = "import os\n\nprint(os.getpid(), flush=True)\nwhile True:\n    pass\n"
    (tmp_path / "learn" / "03a_softmax.py").write_text(text)
    call = (  # a shell's background jobs ignore SIGINT, and so would their children
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from minidistil.cli import main; main(['learn', 'check', '03a'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", call],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    os.killpg(process.pid, signal.SIGINT)  # a terminal's goes to parent and child
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and not out.strip() and not err.strip()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_the_limit_is_on_the_page():
    page = Path(__file__).parents[2] / "docs" / "teaching.md"
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert f"The check is stopped after {apart.SECONDS} seconds" in text
