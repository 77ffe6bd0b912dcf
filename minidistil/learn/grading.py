"""Many learners' files graded: each in a process of its own, with limits.

    FOLDER/LEARNER/03a_softmax.py --`python -m minidistil.learn.grading`--> outcome, as JSON
                                                                        --> all outcomes, a table

A submission may loop for ever, fill the memory or the disk, print what it likes or end the process:
it is stopped, and the others go on. The outcome comes back through a file that the parent names, so
that what is printed means nothing. This keeps accidents apart. It does not stop malice: a file that
is run can do what its user can.

POSIX only: limits are those of `resource`. Tested on Linux.
Source: the limits, setrlimit(2).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minidistil.learn.exercises import all_exercises, find
from minidistil.learn.running import Outcome, check

IMPORTS = 30  # seconds that a process may take besides, to import PyTorch on a busy machine
FILE_SIZE = 64 << 20  # bytes that a submission may write into one file
Grades = dict[str, dict[str, dict[str, Any]]]


def grade_all(folder: Path, *, seconds: int, memory: int, jobs: int = 1) -> Grades:
    """Grade every file of an exercise in every learner's folder.

    Args:
        folder: Holds a folder for each learner.
        seconds: Of each file, also of processor time.
        memory: Of each file, bytes of address space beyond what PyTorch takes.
        jobs: Files at a time.

    Returns:
        The outcome's fields, by learner and exercise.

    Raises:
        ValueError: There is nothing to grade, or the system has no such limits.
    """
    if sys.platform == "win32":
        raise ValueError("grading needs the limits of Linux or macOS; WSL has them")
    names = {exercise.name for exercise in all_exercises()}
    files = sorted(path for path in folder.glob("*/*.py") if path.stem in names)
    if not files:
        raise ValueError(f"{folder} holds no LEARNER/EXERCISE.py, such as ada/03a_softmax.py")
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = pool.map(lambda path: grade_one(path, seconds, memory), files)
        grades: Grades = {}
        for path, outcome in zip(files, outcomes, strict=True):
            grades.setdefault(path.parent.name, {})[path.stem] = asdict(outcome)
    return grades


def grade_one(path: Path, seconds: int, memory: int) -> Outcome:
    """Grade one file in a process of its own; whatever it does, an outcome comes back."""
    laws = len(find(path.stem).checks().LAWS)
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "outcome.json"
        work = Path(scratch) / "work"
        work.mkdir()
        command = [sys.executable, "-m", __spec__.name, str(path.resolve()), str(result)]
        process = subprocess.Popen(
            [*command, str(seconds), str(memory)],
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that what it starts ends with it
            env=os.environ
            | {
                "TRITON_INTERPRET": "1",
                "CUDA_VISIBLE_DEVICES": "",  # a GPU's address space would be most of the limit
                "HYPOTHESIS_STORAGE_DIRECTORY": scratch,
            },
        )
        try:
            process.wait(seconds + IMPORTS)
        except subprocess.TimeoutExpired:
            return Outcome(False, 0, laws, f"stopped after {seconds + IMPORTS} s", stopped=True)
        finally:
            _end(process)
        try:
            return Outcome(**json.loads(result.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            reason = _reason(process.returncode, seconds)
            return Outcome(False, 0, laws, reason, stopped=True)


def table(grades: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Learners below each other, exercises side by side, then why what failed did so.

    "x" is solved, "2/3" are laws that held, "stop" did not come to its end, "-" was not handed in.
    """
    names = sorted({name for outcomes in grades.values() for name in outcomes})
    width = max(map(len, [*grades, "learner"]))
    lines = [f"{'learner':{width}}  " + "  ".join(f"{name[:3]:>4}" for name in names) + "  solved"]
    failures = []
    for learner, outcomes in grades.items():
        cells = []
        for name in names:
            one = outcomes.get(name)
            if one is None or one["passed"]:
                cells.append("x" if one else "-")
                continue
            cells.append("stop" if one["stopped"] else f"{one['held']}/{one['laws']}")
            reason, *_ = one["reason"].splitlines() or [""]
            failures.append(f"{learner} {name[:3]}: {reason}")
        solved = sum(one["passed"] for one in outcomes.values())
        row = "  ".join(f"{cell:>4}" for cell in cells)
        lines.append(f"{learner:{width}}  {row}  {solved:6}")
    return "\n".join([*lines, *failures])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group; it may have gone by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(code: int, seconds: int) -> str:
    if code == -signal.SIGXCPU:
        return f"stopped after {seconds} s of processor time"
    if code < 0:
        return f"it ended by {signal.Signals(-code).name}: perhaps out of memory"
    return f"it ended the process with code {code} before the check was done"


def _child(path: Path, result: Path, seconds: int, memory: int) -> None:
    import resource

    import torch

    torch.set_num_threads(1)
    checks = find(path.stem).checks()
    statm = Path("/proc/self/statm")
    taken = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0
    for what, limit in (
        (resource.RLIMIT_CPU, int(time.process_time()) + seconds),
        (resource.RLIMIT_AS, taken + memory),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        # The first is a signal that says why; the second ends the process.
        limits = [value if hard < 0 else min(value, hard) for value in (limit, limit + 1)]
        resource.setrlimit(what, (limits[0], limits[1]))
    outcome = check(checks, path)
    result.write_text(json.dumps(asdict(outcome)), encoding="utf-8")


if __name__ == "__main__":
    _child(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
