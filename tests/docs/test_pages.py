"""The pages keep up with the library, and what they contain works without a network."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
VENDOR = DOCS / "assets" / "vendor"
PAGES = [*ROOT.glob("README.md"), *sorted(DOCS.rglob("*.md"))]
TEXTS = [
    *PAGES,
    ROOT / "mkdocs.yml",
    *(path for path in sorted(DOCS.rglob("*")) if path.suffix in (".css", ".js", ".py", ".svg")),
]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "minidistil").rglob("*.py")
    if not any(part.startswith("_") for part in path.relative_to(ROOT).parts)
)
KERNELS = sorted(
    ".".join(path.relative_to(ROOT / "kernels").with_suffix("").parts)
    for path in (ROOT / "kernels").rglob("*.py")
    if not path.stem.startswith("_")
)
NAV = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)

# Sybil runs a fence whose language is exactly `python` and skips any other without a word.
FENCE = re.compile(r"^[\s>]*(?:`{3,}|~{3,})[ \t]*(\S.*)$", re.MULTILINE)
BLOCK = re.compile(r"^( *)(`{3,}).*?^\1\2", re.MULTILINE | re.DOTALL)
# GitHub starts a list here; the site's Markdown goes on with the paragraph.
LIST_IN_PARAGRAPH = re.compile(r"^(?![-*+|>#]|\d+\. )\S.*\n(?:[-*+]|\d+\.) ", re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.*>}])/(?:home|root|Users|work|tmp|opt|mnt|srv|var)/|\b[A-Z]:\\")
CDN = re.compile(r"\bcdn\.|cdnjs|jsdelivr|unpkg|googleapis|gstatic|esm\.sh")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python_fences_that_would_not_run(text: str) -> list[str]:
    return [info for info in FENCE.findall(text) if "py" in info.lower() and info != "python"]


def lists_in_paragraphs(text: str) -> list[str]:
    return LIST_IN_PARAGRAPH.findall(BLOCK.sub("", text))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_on_the_page_of_its_stem(module):
    stem = module.split(".")[1]
    page = DOCS / "api" / f"{stem}.md"
    assert page.exists(), f"{module} has no page docs/api/{stem}.md"
    directives = re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert module in directives
    assert f"api/{stem}.md" in NAV


def test_every_module_of_the_kernels_is_on_one_of_two_pages():
    found = []
    for page in ("kernels.md", "lab.md"):
        text = (DOCS / "api" / page).read_text(encoding="utf-8")
        found += re.findall(r"^::: (minidistil_kernels\..+)$", text, re.MULTILINE)
    packages = {"minidistil_kernels.lab", "minidistil_kernels.testing"}
    assert sorted({*found} - packages - {"minidistil_kernels.lab.ahead_of_time"}) == KERNELS


def test_the_navigation_names_each_page_once():
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    assert sorted(NAV) == sorted(pages)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_fences_are_ones_that_run(page):
    assert python_fences_that_would_not_run(page.read_text(encoding="utf-8")) == []


def test_fences_that_would_not_run_are_found():
    text = "```python\n```\n    ```py\n    ```\n``` { .python }\n```\n~~~pycon\n~~~\n```bash\n```\n"
    assert python_fences_that_would_not_run(text) == ["py", "{ .python }", "pycon"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lists_are_lists(page):
    assert lists_in_paragraphs(page.read_text(encoding="utf-8")) == []


def test_lists_in_paragraphs_are_found():
    text = "Two:\n- a\n- b\n\nTwo:\n\n- a\n  more\n- b\n\n```\nx\n- y\n```\nOne:\n1. c\n"
    assert lists_in_paragraphs(text) == ["Two:\n- ", "One:\n1. "]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pictures_have_words(page):
    assert re.findall(r"!\[\s*\]\(\S+|<img(?![^>]*\balt=\"[^\"]+\")[^>]*>", page.read_text()) == []


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_no_machine_path_and_no_foreign_host_to_load_from(path):
    text = path.read_text(encoding="utf-8")
    assert MACHINE_PATH.findall(text) == []
    assert CDN.findall(text) == []


def test_machine_paths_are_found():
    found = [text for text in ("at /home/a/x.py", "`C:\\x`") if MACHINE_PATH.search(text)]
    kept = [text for text in ("api/home/x", "tests/var/y", "a / b") if MACHINE_PATH.search(text)]
    assert (len(found), kept) == (2, [])


def test_third_party_page_lists_every_vendored_file():
    text = (DOCS / "assets" / "THIRD_PARTY.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("| `"))
    files = [path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()]
    assert sorted(re.findall(r"`([^`]+)`", table)) == sorted(files)
