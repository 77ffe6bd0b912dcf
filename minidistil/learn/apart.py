"""A learner's file checked in a process of its own, which is stopped when a loop never ends.

    learner's file --`python -c`, a child--> outcome.json   what came of it
                                             now.json       the law and the case that runs
                                             stack.txt      if it was stopped: where it was

The child stops itself, by a watchdog of CPython that needs neither signals nor the interpreter's
lock, so this works on every system; and it ends, too, where the parent was killed.
Not here: limits for files of others (`grading.py`).
"""

import faulthandler
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from minidistil.learn.exercises import Exercise, find
from minidistil.learn.running import Outcome, check

FILES = ("outcome.json", "now.json", "stack.txt")
SECONDS = 60  # that a check may take, without the time to import PyTorch
# Ctrl-C reaches the child, too; it is for the parent, which ends the child without a traceback.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from minidistil.learn import apart
apart.child()
"""


def check_apart(exercise: Exercise, path: Path) -> Outcome:
    """Check a learner's file in a process of its own; whatever it does, an outcome comes back."""
    path = path.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        # -P: what lies in the current folder is not taken for a module of Python's.
        command = [sys.executable, "-P", "-c", COMMAND, exercise.name, str(path), scratch]
        process = subprocess.Popen([*command, str(SECONDS)])
        try:
            while process.poll() is None:
                time.sleep(0.02)  # Popen.wait does not hear Ctrl-C on Windows
        finally:
            process.kill()
            process.wait()
        outcome, now, stack = (Path(scratch) / name for name in FILES)
        if outcome.exists():
            return Outcome(**json.loads(outcome.read_text(encoding="utf-8")))
        sentence, case = json.loads(now.read_text(encoding="utf-8")) if now.exists() else ("", "")
        reason = f"it ended the process with code {process.returncode} before the check was done"
        if stack.exists() and (dump := stack.read_text(encoding="ascii")):
            # The learner's innermost line; the watchdog writes other letters as \xe9.
            name = re.escape(str(path).encode("ascii", "backslashreplace").decode())
            line = re.search(rf'"{name}", line (\d+)', dump)
            where = f", in line {line[1]}" if line else ""
            reason = f"stopped after {SECONDS} s{where}: does a loop never end?"
        return Outcome(False, 0, 0, reason, sentence, case, stopped=True)


def child() -> None:
    """What the process does."""
    import torch

    name, path, scratch, seconds = sys.argv[1:]
    outcome, now, stack = (Path(scratch) / name for name in FILES)
    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")  # before a kernel's file imports triton
    checks = find(name).checks()
    with stack.open("w") as file:
        faulthandler.dump_traceback_later(float(seconds), exit=True, file=file)
        done = check(
            checks,
            Path(path),
            tell=lambda *what: now.write_text(json.dumps(what), encoding="utf-8"),
        )
    outcome.write_text(json.dumps(asdict(done)), encoding="utf-8")
