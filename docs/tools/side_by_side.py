"""Put the sources of several files beside each other, as they are today.

A page asks for columns by naming what goes into each, a class, a function or a method:

    <!-- columns
    PyTorch: minidistil/embeddings.py::Embeddings
    JAX: minidistil/ports/flax/embeddings.py::Embeddings.__call__
    -->

Docstrings are left out: the reference has them. *Not here*: running anything.
"""

import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_COLUMNS = re.compile(r"^<!-- columns\n(.*?)\n-->$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"(?P<title>[^:]+): (?P<path>[^:]+)::(?P<name>[\w.]+)")


class ColumnsError(Exception):
    """A page asks for a source that is not there; the message says which."""


def with_columns(markdown: str, root: Path = ROOT) -> str:
    """The Markdown of a page, each comment that asks for columns replaced by them.

    Raises:
        ColumnsError: A line that is not understood, no such file, or no such name in it.
    """
    return _COLUMNS.sub(lambda match: _columns(match[1].splitlines(), root), markdown)


def _columns(lines: list[str], root: Path) -> str:
    parts = ['<div class="columns" markdown="1">']
    for line in lines:
        asked = _LINE.fullmatch(line.strip())
        if asked is None:
            raise ColumnsError(f"{line!r} is not 'Title: path.py::Name'")
        code = source(root / asked["path"], asked["name"])
        heading = f"**{asked['title']}**, `{asked['path']}`"
        parts += ['<div markdown="1">', heading, f"```python\n{code}\n```", "</div>"]
    return "\n\n".join([*parts, "</div>"])


def source(path: Path, name: str) -> str:
    """The source of a class, function or `Class.method`, without docstrings.

    Raises:
        ColumnsError: No such file, or no such name in it.
    """
    if not path.is_file():
        raise ColumnsError(f"there is no file {path}")
    text = path.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        inner = [n for n in ast.iter_child_nodes(node) if getattr(n, "name", None) == part]
        if not inner:
            raise ColumnsError(f"{path.name} has no {name}")
        node = inner[0]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    lines = dict(enumerate(text.splitlines(), start=1))
    for inner in ast.walk(node):
        if isinstance(inner, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(inner):
            docstring = inner.body[0]
            assert docstring.end_lineno
            for number in range(docstring.lineno, docstring.end_lineno + 1):
                del lines[number]
            if lines.get(docstring.end_lineno + 1) == "":
                del lines[docstring.end_lineno + 1]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    assert node.end_lineno
    kept = [lines[n] for n in range(first, node.end_lineno + 1) if n in lines]
    return textwrap.dedent("\n".join(kept))
