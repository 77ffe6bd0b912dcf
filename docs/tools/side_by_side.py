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
_ASKED = re.compile(r"<!--\s*columns")
_DEFINITIONS = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_LINE = re.compile(r"(?P<title>[^:]+): (?P<path>[^:]+)::(?P<name>[\w.]+)")


class ColumnsError(Exception):
    """A page asks for a source that is not there; the message says which."""


def with_columns(markdown: str, root: Path = ROOT) -> str:
    """The Markdown of a page, each comment that asks for columns replaced by them.

    Raises:
        ColumnsError: A comment or a line of it that is not understood, no such file, or no such
            name in it.
    """
    page = _COLUMNS.sub(lambda match: _columns(match[1].splitlines(), root), markdown)
    if asked := _ASKED.search(page):  # it would be a comment to the browser, too
        raise ColumnsError(f"not as in side_by_side.py: {page[asked.start() :][:80]!r}")
    return page


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
        ColumnsError: No such file, or no class or function of that name in it.
    """
    if not path.is_file():
        raise ColumnsError(f"there is no file {path}")
    text = path.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        inner = [
            n for n in ast.iter_child_nodes(node) if isinstance(n, _DEFINITIONS) and n.name == part
        ]
        if not inner:
            raise ColumnsError(f"{path.name} has no {name}")
        node = inner[0]
    assert isinstance(node, _DEFINITIONS)
    lines = dict(enumerate(text.split("\n"), start=1))
    for inner in ast.walk(node):
        if isinstance(inner, _DEFINITIONS) and ast.get_docstring(inner):
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
