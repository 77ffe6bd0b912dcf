"""The verb bench: a table, JSON and a picture."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch

from minidistil.benchmark import comparison, floor
from minidistil.benchmark.report import Report


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_floor(shell, tmp_path):
    path = tmp_path / "floor.json"
    done = shell("bench", "floor", "--small", "--rounds", 1, "--threads", 1, "--json", path)
    assert done.code == 0, done.err
    assert done.lines[0].startswith("device cpu, ") and "The bare matrix products" in done.lines
    value = json.loads(path.read_text())
    assert value["bench"] == "floor" and value["machine"]["threads"] == 1
    assert len(value["tables"][0]["rows"]) == 4 * 2


def test_a_picture(shell, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    rows = [{"peer": "a", "ratio": 1.0, "low": 1.0, "high": 1.0}]
    report = Report("one: 7 tokens", {"peer": ""}, rows)
    monkeypatch.setattr(comparison, "compare", lambda setting: [report])
    done = shell("bench", "peers", "--plot", tmp_path / "x.png")
    assert done.code == 0 and (tmp_path / "x.png").stat().st_size > 1000


def test_options_reach_the_benchmark(shell, monkeypatch):
    seen = []
    monkeypatch.setattr(floor, "floor", lambda setting: seen.append(setting) or [])
    assert shell("bench", "floor", "--rounds", 3).code == 0
    assert shell("bench", "floor", "--small").code == 0
    assert [(s.rounds, s.config().dim, s.device) for s in seen] == [
        (3, 768, "cpu"),
        (10, 32, "cpu"),
    ]


def test_errors(shell, tmp_path):
    done = shell("bench", "floor", "--plot", tmp_path / "x.png")
    assert done.code == 2 and "--plot is of peers, frameworks, scaling, not of floor" in done.err
    assert shell("bench", "speed").code == 2
    done = shell("bench", "scaling", "--plot", tmp_path / "x.gif")
    assert done.code == 2 and "x.gif must end in one of .png, .svg, .pdf" in done.err
    for option in ("--plot", "--json"):
        done = shell("bench", "peers", option, tmp_path / "none" / "x.png")
        assert done.code == 2 and "there is no folder" in done.err
    done = shell("bench", "kernels", "--small")
    assert done.code == 1 and "on a CUDA device" in done.err
    done = shell("bench", "floor", "--device", "abacus")
    assert done.code == 1 and "the device 'abacus' can't be used" in done.err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks what a process has open")
def test_ended_by_the_system(tmp_path):
    """Guards disk and memory: neither weights nor processes are left."""
    command = "from minidistil.cli import main; main()"
    arguments = [sys.executable, "-c", command, "bench", "frameworks", "--small"]
    running = subprocess.Popen(arguments, env={**os.environ, "TMPDIR": str(tmp_path)})
    while not [*tmp_path.glob("*/model.safetensors")]:
        assert running.poll() is None
        time.sleep(0.05)
    running.terminate()
    assert running.wait(60) == 130
    assert not [*tmp_path.glob("*/model.safetensors")]
