"""Run somebody's file, and try an exercise's laws on it.

Not here: a process of its own, and limits of time (`apart.py`) and memory (`grading.py`).
"""

import functools
import importlib.util
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

FAILURES = (Exception, SystemExit)  # whatever somebody's file raises


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Attributes:
        passed: Every law held.
        held: How many laws held.
        laws: How many there are.
        reason: What went wrong, of the first law that did not hold or before any was tried.
        sentence: What should hold.
        case: The smallest case that fails; of a check that was stopped, the one that ran. Empty
            where none was tried: the file can't be run, or is not written yet.
        stopped: The check did not come to its end, so `held` says nothing.
    """

    passed: bool
    held: int
    laws: int
    reason: str = ""
    sentence: str = ""
    case: str = ""
    stopped: bool = False

    @property
    def message(self) -> str:
        """Why it did not pass, in one to a few lines."""
        if not self.case:
            return self.reason
        should = f"Should hold: {self.sentence}."
        if self.stopped:
            return f"{self.reason}\n{should}\nThe case that ran: {self.case}"
        return f"{should}\nSmallest case that fails: {self.case}\n{self.reason}"


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


def check(
    checks: Any,
    path: Path,
    examples: int = 50,
    tell: Callable[[str, str], object] = lambda sentence, case: None,
) -> Outcome:
    """Run a learner's file and try all laws of an exercise on it.

    Args:
        checks: The exercise's module.
        path: The learner's file.
        examples: Random cases a law.
        tell: Called before each case, with the law's sentence and the case in words.
    """
    laws = checks.LAWS
    try:
        answer = run_file(path)
    except ValueError as error:
        return Outcome(False, 0, len(laws), str(error))
    with kernel_conditions():
        results = [_told(law, tell).try_on(answer, examples) for law in laws]
    failed = [result for result in results if not result.holds]
    held = len(laws) - len(failed)
    if not failed:
        return Outcome(True, held, len(laws))
    first = failed[0]
    if "your part" in first.reason:  # maybe inside an error of Triton's interpreter
        reason = "Not written yet: a part still says raise NotImplementedError."
        return Outcome(False, held, len(laws), reason)
    reason = first.reason.removeprefix("AssertionError: ")
    return Outcome(False, held, len(laws), reason, first.sentence, first.smallest_case)


def _told(law: Any, tell: Callable[[str, str], object]) -> Any:
    @functools.wraps(law.check)
    def attempt(answer: Any, case: Any) -> None:
        tell(law.sentence, repr(case))
        law.check(answer, case)

    return replace(law, check=attempt)
