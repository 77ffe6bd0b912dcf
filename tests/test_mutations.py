"""Does the suite notice? Break one line of the library at a time; some test must fail.

Each mutant is a copy of the package with one piece of text replaced, tested by the files that ought
to find it.
"""

import multiprocessing
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.mutants import ATTENTION, MUTANTS

ROOT = Path(__file__).parents[1]


def path_in(root: Path, file: str) -> Path:
    return root / ("" if file.startswith("kernels/") else "minidistil") / file


def test_what_is_broken_stands_in_the_library():
    """Quick, so that whoever rewrites a line hears at once that a mutant was of it."""
    for file, old, _, tests in MUTANTS:
        times = path_in(ROOT, file).read_text(encoding="utf-8").count(old)
        assert times == 1, f"{old!r} stands {times} times in {file}"
        path, _, name = tests.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert f"def {name.partition('[')[0]}(" in text or not name, tests


# The tests of a mutant run in a fork of a process that has imported what takes longer than they do;
# on Windows, which has no forks, they import it themselves.
FORKS = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
FORKS.set_forkserver_preload(["torch", "triton", "transformers", "hypothesis"])
RAN = 10  # added to pytest's exit codes: a process that breaks before it ends with 1, too


def run_tests(root: Path, tests: str, printed: Path) -> None:
    """Run them on the package in `root`, in a process of its own."""
    with printed.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(root)
    os.environ["PYTHONPATH"] = str(root)  # for the processes that tests start
    sys.path.insert(0, str(root))
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # this file was found elsewhere
    sys.exit(RAN + pytest.main(["-x", "-q", tests]))


def copied(root: Path) -> None:
    """Put package and tests into an empty folder."""
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("minidistil", "tests", "kernels"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", root)


def outcome(root: Path, tests: str) -> tuple[int | None, str]:
    """RAN + the exit code of pytest on the package in `root`, and the end of what it printed."""
    printed = root / "printed.txt"
    process = FORKS.Process(target=run_tests, args=(root, tests, printed))
    process.start()
    try:
        process.join()
    finally:
        process.kill()  # where the wait was ended by a timeout
    return process.exitcode, printed.read_text(encoding="utf-8")[-4000:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "tests"), MUTANTS, ids=[f"{m[0]}-{i}" for i, m in enumerate(MUTANTS)]
)
def test_the_suite_notices(file, old, new, tests, tmp_path):
    copied(tmp_path)
    path = path_in(tmp_path, file)
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace(old, new), encoding="utf-8")
    code, printed = outcome(tmp_path, tests)
    # 1: a test failed. Anything else (0: none did; 2 to 5: none ran) is a hole.
    assert code == RAN + 1, printed


@pytest.mark.slow
@pytest.mark.parametrize("tests", ["tests/test_masks.py", f"{ATTENTION}::test_worked_example"])
def test_the_whole_library_passes(tests, tmp_path):
    """What fails above fails for its mutant, not for the place it runs in."""
    copied(tmp_path)
    code, printed = outcome(tmp_path, tests)
    assert code == RAN, printed
