"""Run somebody's file, and try an exercise's laws on it.

Not here: limits of time and memory (`grading.py`).
"""

import importlib.util
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

FAILURES = (Exception, SystemExit)  # whatever somebody's file raises


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Attributes:
        passed: Every law held.
        held: How many laws held before the first that did not.
        laws: How many there are.
        message: Of the first that did not: what should hold, the smallest case, what went wrong.
    """

    passed: bool
    held: int
    laws: int
    message: str = ""


def run_file(path: Path) -> ModuleType:
    """Run a file as Python would, and return its module. Nothing is written beside it.

    Raises:
        ValueError: It is no Python file, or it raised something.
    """
    path = path.resolve()
    if path.suffix != ".py":
        raise ValueError(f"{path} is no Python file: its name must end in .py")
    module = ModuleType(f"file_{zlib.crc32(str(path).encode()):08x}_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where a dataclass looks for the module it stands in
    # What lies beside the file can be imported by it, as with `python FILE.py`.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        # Not through an import: that would take a compiled file of the same second for this one.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except FAILURES as error:
        del sys.modules[module.__name__]
        raise ValueError(f"{path} can't be run: {type(error).__name__}: {error}") from error
    return module


@contextmanager
def kernel_conditions() -> Iterator[None]:
    """Interpreted kernels are checked, and shown NaN in what a GPU leaves undefined."""
    with ExitStack() as stack:
        if importlib.util.find_spec("triton") is not None:
            from minidistil_kernels import interpreter, lab

            if interpreter.INTERPRETING:
                stack.enter_context(lab.memory_checks())
                stack.enter_context(lab.undefined_as_nan())
        yield


def check(checks: Any, path: Path, examples: int = 50) -> Outcome:
    """Run a learner's file and try the laws of an exercise on it, up to the first that fails.

    Args:
        checks: The exercise's module.
        path: The learner's file.
        examples: Random cases a law.
    """
    laws = checks.LAWS
    try:
        answer = run_file(path)
    except ValueError as error:
        return Outcome(False, 0, len(laws), str(error))
    with kernel_conditions():
        for held, law in enumerate(laws):
            result = law.try_on(answer, examples)
            if not result.holds:
                return Outcome(False, held, len(laws), _message(result))
    return Outcome(True, len(laws), len(laws))


def _message(result: Any) -> str:
    if "your part" in result.reason:  # maybe inside an error of Triton's interpreter
        return "Not written yet: a part still says raise NotImplementedError."
    reason = result.reason.removeprefix("AssertionError: ")
    return "\n".join(
        [
            f"Should hold: {result.sentence}.",
            f"Smallest case that fails: {result.smallest_case}",
            reason,
        ]
    )
