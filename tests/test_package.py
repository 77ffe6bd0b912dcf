"""The shape of the project itself: sizes, budget, dependencies, two source roots."""

import ast
import importlib.metadata
import io
import re
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).parents[1]
LIBRARY = sorted(ROOT.glob("minidistil/**/*.py"))
KERNELS = sorted(ROOT.glob("kernels/**/*.py"))
SOURCES = [*LIBRARY, *KERNELS]
CORE = [
    *(f"{stem}.py" for stem in (
        "config", "aliases", "outputs", "checks", "embeddings", "masks", "packing", "attention",
        "feed_forward", "transformer", "model", "pretrained", "initialisation", "resizing")),
    "heads",
]  # fmt: skip
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# Those that the library imports something of; the others are for tests, pages and recipes.
EXTRAS = ("learn", "train", "export", "legacy", "jax", "tensorflow", "peers")

# What a package shares inside is tested through its public modules.
TESTED_THROUGH = {
    "weights": "checkpoints/test_loading.py",
    "attention_forward": "kernels/test_attention.py",
    "attention_backward": "kernels/test_attention.py",
    **dict.fromkeys(("attention_cases", "attention_calls"), "kernels/testing/test_attention.py"),
    **dict.fromkeys(("block", "encoder"), "inference/test_fast.py"),
    "sum_rows_by_id": "kernels/test_embedding_layer_norm.py",
    **dict.fromkeys(("events", "addresses"), "kernels/lab/test_hooks.py"),
    **dict.fromkeys(("cells", "arithmetic"), "kernels/lab/test_meter.py"),
    **dict.fromkeys(
        ("compilation", "launches", "machine_code", "targets", "reporting", "catalogue", "anchor"),
        "kernels/lab/test_ahead_of_time.py",
    ),
}


def lines_of_code(path):
    """Lines that are neither blank, comment, nor docstring."""
    source = path.read_text(encoding="utf-8")
    lines = set()
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (*skipped, tokenize.ENDMARKER):
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_read_in_one_sitting(path):
    limit = 300 if path in KERNELS else 250
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit


def test_the_budget_from_config_to_heads():
    paths = [ROOT / "minidistil" / name for name in CORE]
    files = [f for p in paths for f in (p.glob("*.py") if p.is_dir() else [p])]
    assert sum(map(lines_of_code, files)) <= 1300


def test_the_budget_of_the_library():
    around = ("cli", "visual", "learn", "reproduction", "export.py", "inference", "benchmark")
    tools = {path for path in LIBRARY if path.relative_to(ROOT).parts[1] in around}
    ports = {path for path in LIBRARY if "ports" in path.parts or path.name == "legacy.py"}
    assert sum(map(lines_of_code, tools)) <= 5000
    assert sum(map(lines_of_code, ports)) <= 2200
    assert sum(map(lines_of_code, set(LIBRARY) - tools - ports)) <= 7000


def test_the_budget_of_the_kernels():
    package = ROOT / "kernels" / "minidistil_kernels"
    lab = (package / "lab", package / "testing")  # the conformance suite is part of the lab
    kernels = [path for path in KERNELS if not {*lab} & {*path.parents}]
    assert sum(map(lines_of_code, kernels)) <= 2500


def test_lines_of_code(tmp_path):
    """Guards the counter: four of these nine lines are code."""
    file = tmp_path / "x.py"
    file.write_text('"""Doc.\n\nstring"""\n\nx = (\n    1\n)  # why\n# comment\ny = """a"""\n')
    assert lines_of_code(file) == 4


def test_every_module_has_its_test():
    tests = {str(p.relative_to(ROOT / "tests")) for p in ROOT.glob("tests/**/test_*.py")}
    for path in SOURCES:
        root = ROOT / "minidistil" if path in LIBRARY else ROOT / "kernels" / "minidistil_kernels"
        relative = path.relative_to(root)
        if path in KERNELS:
            relative = "kernels" / relative
        if path.stem.startswith("__"):
            continue
        test = TESTED_THROUGH.get(path.stem, str(relative.with_name(f"test_{path.name}")))
        if "ports" in path.parts:
            # Each is held as a whole against its twin in PyTorch.
            framework = path.relative_to(ROOT / "minidistil" / "ports").parts[0]
            test = f"ports/{framework if '.' not in framework else 'flax'}/test_model.py"
        assert test in tests, path


def test_kernels_is_a_source_root_and_no_package():
    assert not (ROOT / "kernels" / "__init__.py").exists()
    find = PYPROJECT["tool"]["setuptools"]["packages"]["find"]
    found = [
        p
        for where in find["where"]
        for p in setuptools.find_packages(str(ROOT / where), include=find["include"])
    ]
    assert {"minidistil", "minidistil.heads", "minidistil_kernels"} <= set(found)
    assert not {"tests", "docs", "kernels"} & set(found)


def test_everything_imported_is_declared():
    extras = PYPROJECT["project"]["optional-dependencies"]
    declared, *extra = (
        {re.split(r"[<>=\[; ]", line)[0].lower().replace("-", "_") for line in lines}
        for lines in (
            PYPROJECT["project"]["dependencies"],
            *(extras[name] for name in EXTRAS),
        )
    )
    # flash_attn is found, not required: whoever has it built it for a GPU.
    own = {"minidistil", "minidistil_kernels", "flash_attn"}
    imported = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
    assert imported - set(sys.stdlib_module_names) - own <= declared.union(*extra)
    assert declared <= imported, "declared, but imported nowhere"


def test_the_version_is_one():
    import minidistil

    assert minidistil.__version__ == PYPROJECT["project"]["version"]
    assert minidistil.__version__ == importlib.metadata.version("minidistil")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {minidistil.__version__}\n" in citation


def test_modules_never_import_triton():
    # But one, which is loaded with TensorFlow: Triton must come first, or the process ends.
    for path in set(LIBRARY) - {ROOT / "minidistil/ports/tensorflow/backend.py"}:
        assert not re.search(r"^\s*(import|from) triton", path.read_text(encoding="utf-8"), re.M)
