"""`minidistil check`: a right function, a wrong one, and files that can't be used."""

import json

import pytest

from tests.helpers.kernels import interpreted

FILE = """
import torch

def softmax(x, mask=None):
    if mask is None:
        return x.softmax(-1)
    return x.masked_fill(~mask, torch.finfo(x.dtype).min).softmax(-1).masked_fill(~mask, 0.0)

def wrong(x, mask=None):
    return x.exp() / x.exp().sum(-1, keepdim=True)

number = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_right(shell, file):
    done = shell("check", f"{file}:softmax", "--examples", "3")  # its name says what it is
    assert done.code == 0, done.out + done.err
    assert "laws hold" in done.out
    assert "FAILS" not in done.out


def test_wrong(shell, file):
    done = shell("check", f"{file}:wrong", "--op", "softmax", "--examples", "3", "--json")
    assert done.code == 1
    report = json.loads(done.out)
    assert not report["holds"]
    failed = [result for result in report["results"] if not result["holds"]]
    assert "Logits of +-10,000 neither overflow nor underflow" in [r["sentence"] for r in failed]
    assert all(r["smallest_case"].startswith("Case(") and r["reason"] for r in failed)


def test_what_a_file_prints_is_no_part_of_the_report(shell, tmp_path):
    text = (
        "print('loading')\n"
        + FILE
        + """
def loud(x, mask=None):
    print("running")
    return softmax(x, mask)
"""
    )
    (tmp_path / "loud.py").write_text(text)
    place = f"{tmp_path}/loud.py:loud"
    done = shell("check", place, "--op", "softmax", "--examples", "1", "--json")
    assert done.code == 0 and json.loads(done.out)["holds"]
    assert done.err.count("loading") == 1 and "running" in done.err
    done = shell("check", place, "--op", "softmax", "--examples", "1")
    assert done.out.startswith("softmax(loud): ")


ATTENTION = """
from minidistil.ops import resolve_attention

print("loading")
eager = resolve_attention("eager")
padded, packed = eager.padded, eager.packed
"""


def test_a_file_named_twice_runs_once(shell, tmp_path):
    """Padded and packed form share what the file keeps, however its path is written."""
    (tmp_path / "both.py").write_text(ATTENTION)
    forms = f"{tmp_path}/both.py:padded", f"{tmp_path}/../{tmp_path.name}/both.py:packed"
    done = shell("check", forms[0], "--packed", forms[1], "--examples", "1")
    assert done.code == 0, done.out + done.err
    assert done.err.count("loading") == 1
    assert "Packed equals the reference" in done.out


@interpreted
def test_memory_that_was_never_written_is_nan(shell, tmp_path):
    text = "import torch\n\ndef softmax(x, mask=None):\n    return x + 0 * torch.empty(1)\n"
    (tmp_path / "lucky.py").write_text(text)
    done = shell("check", f"{tmp_path}/lucky.py:softmax", "--examples", "1")
    assert done.code == 1 and "error nan" in done.out


@pytest.mark.parametrize(
    ("place", "extra", "message"),
    [
        ("{file}", [], "is no FILE.py:FUNCTION"),
        ("{file}:no-name", [], "is no FILE.py:FUNCTION"),
        ("absent.py:f", [], "there is no file 'absent.py'"),
        ("{file}:absent", [], "has no function 'absent'"),
        ("{file}:number", [], "has no function 'number'"),
        ("{file}:softmax", ["--op", "softmax", "--packed", "x.py:f"], "belongs to attention"),
        ("{file}:softmax", ["--op", "sotfmax"], "is not one of"),
    ],
)
def test_wrong_calls(shell, file, place, extra, message):
    done = shell("check", place.format(file=file), *extra)
    assert done.code == 2 and message in done.err, done.err


def test_a_file_that_breaks(shell, tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    done = shell("check", f"{tmp_path}/broken.py:f")
    assert done.code == 1
    assert "can't be run: ModuleNotFoundError: No module named 'nothing_of_this" in done.err


def test_a_file_that_exits(shell, tmp_path):
    (tmp_path / "exits.py").write_text("import sys\nsys.exit('no GPU here')\n")
    done = shell("check", f"{tmp_path}/exits.py:f")
    assert done.code == 1 and "can't be run: SystemExit: no GPU here" in done.err


def test_a_file_with_a_dataclass(shell, tmp_path):
    """Annotations that are strings are looked up in the module's place in `sys.modules`."""
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    text += "@dataclass\nclass A:\n    x: int\n\ndef softmax(x, mask=None):\n    return A(1)\n"
    (tmp_path / "dc.py").write_text(text)
    done = shell("check", f"{tmp_path}/dc.py:softmax", "--examples", "1")
    assert done.code == 1 and "FAILS" in done.out
