"""Columns of sources: what is shown is what stands in the files."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("side_by_side", ROOT / "docs/tools/side_by_side.py")
side_by_side = importlib.util.module_from_spec(spec)
spec.loader.exec_module(side_by_side)

SOURCE = '''"""Module."""

class A(B):
    """Doc.

    More.
    """

    x = 1  # why

    @property
    def f(self):
        """Doc."""
        return "a"

def g():
    """Only a docstring."""
    return 2
'''


@pytest.mark.parametrize(
    "page",
    [
        "<!-- columns \nOne: a.py::g\n-->",
        " <!-- columns\nOne: a.py::g\n-->",
        "<!--columns\nOne: a.py::g\n-->",
    ],
)
def test_a_comment_that_is_not_understood_stops_the_build(page, tmp_path):
    with pytest.raises(side_by_side.ColumnsError, match="not as in side_by_side.py"):
        side_by_side.with_columns(page, tmp_path)


def test_lines_end_where_python_ends_them(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\x0c\n\nasync def f():\n    return x\n", encoding="utf-8")
    assert side_by_side.source(tmp_path / "a.py", "f") == "async def f():\n    return x"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def test_a_class_without_its_docstrings(root):
    assert side_by_side.source(root / "a.py", "A") == (
        'class A(B):\n    x = 1  # why\n\n    @property\n    def f(self):\n        return "a"'
    )


def test_a_method_begins_at_the_margin(root):
    got = side_by_side.source(root / "a.py", "A.f")
    assert got == '@property\ndef f(self):\n    return "a"'


def test_columns(root):
    page = "Before.\n\n<!-- columns\nOne: a.py::g\nTwo: a.py::A.f\n-->\n\nAfter.\n"
    got = side_by_side.with_columns(page, root)
    assert got.startswith('Before.\n\n<div class="columns" markdown="1">') and "After." in got
    assert got.index("**One**, `a.py`") < got.index("def g():") < got.index("**Two**")
    assert "columns\n" not in got and got.count('<div markdown="1">') == 2
    assert got.count("<div") == got.count("</div>")
    assert side_by_side.with_columns("<!-- a comment -->\n", root) == "<!-- a comment -->\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("One a.py", "'One a.py' is not 'Title: path.py::Name'"),
        ("One: b.py::g", "no file .*b.py"),
        ("One: a.py::h", "a.py has no h"),
        ("One: a.py::A.h", "a.py has no A.h"),
    ],
)
def test_what_is_not_there_stops_the_build(root, line, words):
    with pytest.raises(side_by_side.ColumnsError, match=words):
        side_by_side.with_columns(f"<!-- columns\n{line}\n-->", root)
