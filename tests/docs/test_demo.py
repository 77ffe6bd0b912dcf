"""What the README shows of `make demo` is what the Makefile's commands print."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PASSAGES = re.compile(r"^\d+ passages.*\n", re.MULTILINE)  # for standard error; follows the pages


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_readme_shows_what_the_demo_prints():
    rule = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndemo: ")[1].split("\n\n")[0]
    commands = rule.partition("\n")[2].replace("\\\n", " ").splitlines()
    assert len(commands) == 2
    printed = ""
    for command in commands:
        _, *words = shlex.split(command)
        run = [sys.executable, "-m", "minidistil", *words]
        done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
        printed += done.stdout
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"What `make demo` prints.*?```text\n(.*?)```", readme, re.DOTALL)
    assert printed == PASSAGES.sub("", shown)
