"""Every public name says what it does and what it raises, and what it shows runs."""

import ast
import doctest
import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import minidistil
import minidistil_kernels

ROOT = Path(__file__).parents[2]
ROOTS = {ROOT: ROOT / "minidistil", ROOT / "kernels": ROOT / "kernels" / "minidistil_kernels"}
MODULES = {
    ".".join(path.relative_to(root).with_suffix("").parts): path
    for root, package in ROOTS.items()
    for path in sorted(package.rglob("*.py"))
    if not path.name.startswith("_")
}
Definition = ast.FunctionDef | ast.ClassDef


def public(path: Path) -> Iterator[tuple[str, Definition, str]]:
    """The public functions, classes and methods of a file, with their docstrings.

    What a constructor has to say stands at its class.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        yield node.name, node, ast.get_docstring(node) or ""
        for member in node.body if isinstance(node, ast.ClassDef) else []:
            if not isinstance(member, ast.FunctionDef) or _is_setter(member):
                continue
            said = ast.get_docstring(member) or ""
            if member.name == "__init__":
                yield f"{node.name}()", member, said + (ast.get_docstring(node) or "")
            elif not member.name.startswith("_"):
                yield f"{node.name}.{member.name}", member, said


def _is_setter(node: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in node.decorator_list)


def raised(function: ast.FunctionDef) -> set[str]:
    """The exceptions that a function raises itself, by the names of their classes."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = ast.unparse(node.exc.func).rpartition(".")[2]
            # Not one that a function made, nor one for the shell.
            if name[0].isupper() and name not in ("ClickException", "UsageError"):
                found.add(name)
    return found


NAMES = [(module, name) for module, path in MODULES.items() for name, _, _ in public(path)]


def test_all_of_them_are_looked_at():
    assert len(NAMES) > 700
    assert ("minidistil.pretrained", "DistilBertPreTrainedModel.from_pretrained") in NAMES
    assert ("minidistil_kernels.attention", "attention") in NAMES


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_a_docstring(module):
    nothing = [name for name, _, said in public(MODULES[module]) if not said]
    assert not nothing


@pytest.mark.parametrize("module", MODULES)
def test_what_is_raised_is_said(module):
    unsaid = {
        name: sorted(missing)
        for name, node, said in public(MODULES[module])
        if isinstance(node, ast.FunctionDef)
        and "is abstract" not in ast.unparse(node)
        and (missing := {error for error in raised(node) if error not in said})
    }
    assert not unsaid


@pytest.mark.parametrize(
    "public_name",
    [
        *(f"minidistil.{name}" for name in minidistil.__all__),
        *(f"minidistil_kernels.{name}" for name in minidistil_kernels.__all__),
    ],
)
def test_the_public_names_show_an_example(public_name):
    package, name = public_name.split(".")
    value = getattr(importlib.import_module(package), name)
    assert not callable(value) or ">>> " in value.__doc__


@pytest.mark.parametrize(
    "module", [name for name, path in MODULES.items() if ">>> " in path.read_text("utf-8")]
)
def test_examples_run(module):
    for port, package in {"ports.flax": "flax", "ports.tensorflow": "keras"}.items():
        if port in module and find_spec(package) is None:
            pytest.skip(f"{module} needs {package}, not installed here")
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted and not result.failed
