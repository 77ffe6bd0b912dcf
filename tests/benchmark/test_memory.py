"""Peaks of processes of known size, which end with who asked; bytes kept by hand."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minidistil.benchmark import memory
from minidistil.benchmark.memory import Kept, peak_memory, training_memory
from minidistil.benchmark.size import encode
from minidistil.outputs import BaseModelOutput
from tests.benchmark.tiny import FIELDS

linux = pytest.mark.skipif(not memory.STATUS.exists(), reason="reads what Linux knows")


@linux
def test_a_process_of_known_size():
    """Whatever its rehearsal had, where Linux counts a peak anew."""
    rehearsal = {"shape": 300_000_000 if os.access(memory.RESET, os.W_OK) else 1}
    peak = peak_memory(np.ones, rehearsal, shape=100_000_000, dtype="uint8")
    assert peak == pytest.approx(100e6, abs=5e6)


@linux
def test_a_model_takes_more_than_its_weights():
    fields = {**FIELDS, "vocab_size": 300_000}
    peak = peak_memory(encode, {"fields": FIELDS}, fields=fields, mode="modules", lengths=[5, 3])
    weights = 300_000 * 32 * 4
    assert 0.95 * weights < peak < 2 * weights


def wait(file, seconds):
    """Say who is there, and stay."""
    Path(file).write_text(str(os.getpid()))
    time.sleep(seconds)


ASK = """
import sys
from minidistil.benchmark.memory import peak_memory
from tests.benchmark.test_memory import wait
peak_memory(wait, {"seconds": 0}, file=sys.argv[1], seconds=600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_the_process_ends_with_the_one_that_asked(tmp_path):
    """However that ends: here as a caller's time limit ends it."""
    file = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", ASK, file], cwd=Path(__file__).parents[2])
    pid = _until(lambda: file.exists() and file.read_text())
    parent.kill()
    parent.wait()
    command = Path(f"/proc/{pid}/cmdline")  # empty when it has ended
    _until(lambda: not command.exists() or not command.read_bytes())


def _until(come):
    start = time.monotonic()
    while not (value := come()):
        assert time.monotonic() - start < 60
        time.sleep(0.05)
    return value


@linux
def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="ones failed: ValueError: negative"):
        peak_memory(np.ones, {}, shape=-1)


def test_another_system_has_no_peak(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    assert peak_memory(np.ones, {}, shape=1) is None


def test_what_a_step_keeps_by_hand():
    """x is kept for the weight's gradient, and exp(y) for its own; the largest is the weight's."""

    class Model(torch.nn.Linear):
        def forward(self, x):
            return Output(F.linear(x, self.weight).exp().sum())

    class Output(BaseModelOutput):
        @property
        def loss(self):
            return self.last_hidden_state

    model = Model(10, 100)
    assert training_memory(model, x=torch.ones(3, 10)) == Kept(
        saved=3 * 10 * 4 + 3 * 100 * 4, largest=100 * 10 * 4
    )
