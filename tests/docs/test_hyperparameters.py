"""The search for hyper-parameters that the docs show: it runs, it finds, it leaves no process."""

import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from minidistil import pipeline

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hyperparameters.md").read_text(encoding="utf-8")
(RECIPE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_recipe_is_short():
    lines = [line for line in RECIPE.splitlines() if line]
    assert len(lines) <= 40 and max(map(len, lines)) <= 100


def processes_of(folder: str) -> list[str]:
    """The processes that were started with `folder` for temporary files; where there is /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if folder.encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:  # somebody else's, or gone
            continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(find_spec("ray") is None, reason="needs pip install 'minidistil[search]'")
def test_the_recipe_finds_a_model():
    # A short path, because Ray's sockets lie there. Ray also writes a token into the home folder.
    with tempfile.TemporaryDirectory() as folder:
        paths = os.pathsep.join((str(ROOT), str(ROOT / "kernels")))
        done = subprocess.run(
            [sys.executable, "-c", RECIPE],
            cwd=folder,
            env=os.environ | {"TMPDIR": folder, "HOME": folder, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        said = re.search(r"^(1\.0|0\.9\d+) \{'learning_rate': .*\} (/.+)$", done.stdout, re.M)
        assert said, done.stdout[-3000:]
        (answer,) = pipeline("text-classification", model=said[2])(["a dull film"])
        assert answer["label"] == "NEGATIVE"
        end = time.monotonic() + 30
        while left := processes_of(folder):
            assert time.monotonic() < end, left
            time.sleep(0.1)
