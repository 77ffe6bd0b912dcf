"""Every ```python fence of the README and the docs runs.

The fences of a page share their names, in order; the working directory is an empty folder. A
fence that can't run everywhere says why in a comment above it that no reader of the page sees:

    <!-- skip: next "needs the weights of distilbert-base-uncased" -->
"""

from pathlib import Path
from unittest import SkipTest

import jaxtyping
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]
SNIPPETS = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in [
        ROOT / "README.md",
        ROOT / "kernels" / "README.md",
        *sorted(ROOT.glob("docs/**/*.md")),
    ]
    if "```python" in path.read_text(encoding="utf-8")
]


def run(page: Path) -> list[str]:
    """Run the fences of a page; return where and why some were skipped."""
    skipped = []
    for example in SNIPPETS.parse(page):
        try:
            example.evaluate()
        except SkipTest as reason:
            skipped.append(f"line {example.line}: {reason}")
    return skipped


@pytest.mark.parametrize("page", PAGES)
def test_snippets_run(page, subtests, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if page == "docs/howto/export.md":
        # torch.export traces with sizes that are symbols, which the check of shapes can't count.
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    for reason in run(ROOT / page):
        with subtests.test():
            pytest.skip(reason)


def test_a_fault_in_a_snippet_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nx = 1\n```\n\n??? note\n    ```python\n    assert x == 2, 'shared'\n    ```\n",
        encoding="utf-8",
    )
    with pytest.raises(AssertionError, match="shared"):
        run(page)


def test_a_skipped_snippet_does_not_run_and_says_why(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('<!-- skip: next "not today" -->\n```python\n1 / 0\n```\n', encoding="utf-8")
    assert run(page) == ["line 2: not today"]
