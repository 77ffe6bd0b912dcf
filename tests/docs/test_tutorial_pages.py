import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

for package in ("jupytext", "nbclient", "ipykernel", "matplotlib", "mkdocs", "pymdownx"):
    pytest.importorskip(package, reason=f"tutorial pages are made with {package} (docs extra)")

TOOLS = Path(__file__).parents[2] / "docs" / "tools"
TITLE = "# %% [markdown]\n# # A title\n# An introduction.\n\n"
DRAW = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a library, the tools and no tutorial."""
    shutil.copytree(TOOLS, tmp_path / "docs" / "tools")
    for path, text in {
        "minidistil/__init__.py": "ANSWER = 42\n",
        "kernels/minidistil_kernels/__init__.py": "ANSWER = 43\n",
        "tutorials/README.txt": "not a tutorial\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


def write(project: Path, body: str, name: str = "01_try.py") -> None:
    (project / "tutorials" / name).write_text(TITLE + body, encoding="utf-8")


def build(project: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project / "docs" / "tools" / "tutorial_pages.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def page(project: Path, body: str) -> str:
    write(project, body)
    result = build(project)
    assert result.returncode == 0, result.stderr
    path = project / ".cache" / "tutorials" / "pages" / "01_try.md"
    return path.read_text(encoding="utf-8")


def failure(project: Path, body: str) -> str:
    write(project, body)
    result = build(project)
    assert result.returncode == 1
    assert "Traceback (most recent call last):\n  File" not in result.stderr
    assert "01_try.py: " in result.stderr
    return result.stderr


def test_no_tutorial_is_no_error(project):
    result = build(project)
    assert (result.returncode, result.stdout) == (0, "")


def test_a_page_has_title_text_code_and_output(project):
    text = page(
        project,
        "# %%\nimport minidistil, minidistil_kernels\n"
        "print(minidistil.ANSWER, minidistil_kernels.ANSWER)\n\n# %% [markdown]\n# The *end*.\n",
    )
    assert text.startswith("# A title\n\n[Script](01_try.py)")
    assert "[Notebook](01_try.ipynb)" in text
    assert "\n\nAn introduction.\n\n```python\nimport minidistil" in text
    assert "``` { .text .output .no-copy }\n42 43\n```\n\nThe *end*.\n" in text


def test_downloads_are_the_script_and_a_notebook_without_outputs(project):
    page(project, "# %%\nprint(1)\n")
    pages = project / ".cache" / "tutorials" / "pages"
    script = project / "tutorials" / "01_try.py"
    assert (pages / "01_try.py").read_bytes() == script.read_bytes()
    notebook = json.loads((pages / "01_try.ipynb").read_text(encoding="utf-8"))
    assert [cell.get("outputs") for cell in notebook["cells"]] == [None, []]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_the_kernel_is_the_python_of_the_build(project):
    # The interpreter's path must not be printed, so the cell compares it.
    page(project, f"# %%\nimport sys\nassert sys.executable == {sys.executable!r}\n")


def test_output_is_escaped(project):
    markdown = pytest.importorskip("markdown")

    text = page(project, '# %%\nprint("<b>``` $x$ *y* &amp;</b>\\n```\\n# no heading")\n')
    html = markdown.markdown(text, extensions=["attr_list", "pymdownx.superfences"])
    assert "&lt;b&gt;``` $x$ *y* &amp;amp;&lt;/b&gt;\n```\n# no heading" in html
    assert html.count("<h1") == 1


def test_a_failing_cell_names_the_script(project):
    message = failure(project, "# %%\nprint('before')\n\n# %%\n1 / 0\n")
    assert "a cell fails" in message
    assert "ZeroDivisionError" in message
    assert "\x1b" not in message


def test_a_dying_kernel_names_the_script(project):
    assert "a cell fails" in failure(project, "# %%\nimport os\nos._exit(3)\n")


def test_a_picture_gets_the_words_of_its_comment(project):
    text = page(project, "# %%\n# alt: A line from 1\n#     to [2].\n" + DRAW)
    assert "![A line from 1 to \\[2\\].](01_try_1.png){ width=" in text
    assert "# alt:" not in text
    picture = project / ".cache" / "tutorials" / "pages" / "01_try_1.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("alts", "counts"),
    [("", "1 picture(s) and has 0"), ("# alt: a\n# alt: b\n", "1 picture(s) and has 2")],
)
def test_a_picture_without_words_fails(project, alts, counts):
    assert counts in failure(project, "# %%\n" + alts + DRAW)


def test_a_tutorial_without_a_title_fails(project):
    (project / "tutorials" / "01_try.py").write_text("# %%\nprint(1)\n", encoding="utf-8")
    result = build(project)
    assert result.returncode == 1
    assert "01_try.py: the first cell must start with '# Title'" in result.stderr


def test_a_path_of_the_machine_fails(project):
    message = failure(project, "# %%\nimport minidistil\nprint(minidistil.__file__)\n")
    assert "a path of this machine" in message


def test_text_that_the_kernel_flushed_in_parts_is_one_block(project):
    parts = "import sys\n"
    for number in range(3):
        parts += f"print({number}, flush=True)\nprint('aside', file=sys.stderr, flush=True)\n"
    text = page(project, "# %%\n" + parts)
    assert "``` { .text .output .no-copy }\n0\n1\n2\n```" in text
    assert text.count(".output") == 1


def test_text_before_and_after_a_picture_stays_there(project):
    text = page(project, "# %%\n# alt: a line\nprint('before')\n" + DRAW + "print('after')\n")
    places = [text.index(f"\n{part}") for part in ("before\n", "![a line]", "after\n")]
    assert places == sorted(places)


@pytest.mark.parametrize("shown", ["print(object())", "object()", "print([build])"])
def test_the_address_of_an_object_fails(project, shown):
    message = failure(project, f"# %%\ndef build():\n    pass\n{shown}\n")
    assert re.search(r"the output shows <\S.* at 0x\w+>, an address that changes", message)


def test_the_network_is_refused(project):
    message = failure(project, "# %%\nimport urllib.request as u\nu.urlopen('http://example.org')")
    assert "asks for 'example.org'" in message


def test_a_script_runs_again_only_after_a_change(project):
    executed = project / ".cache" / "tutorials" / "executed"

    def run(body: str) -> tuple[str, int]:
        page(project, body)
        (notebook,) = executed.iterdir()  # older runs are gone
        return notebook.name, notebook.stat().st_mtime_ns

    first = run("# %%\nprint(1)\n")
    assert run("# %%\nprint(1)\n") == first
    second = run("# %%\nprint(2)\n")
    assert second != first
    (project / "minidistil" / "__init__.py").write_text("ANSWER = 44\n", encoding="utf-8")
    assert run("# %%\nprint(2)\n") != second


def test_the_site_lists_the_tutorials_by_itself(project):
    write(project, "# %%\nprint(1)\n")
    write(project, "# %%\nprint(2)\n", name="02_more.py")
    (project / "docs" / "index.md").write_text("# Home\n", encoding="utf-8")
    (project / "mkdocs.yml").write_text(
        "site_name: x\nsite_url: ''\nuse_directory_urls: false\nhooks: [docs/tools/hook.py]\n"
        "plugins: []\nexclude_docs: tools/\nnav: [{Home: index.md}, {Tutorials: []}]\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    home = (project / "site" / "index.html").read_text(encoding="utf-8")
    assert home.index("tutorials/01_try.html") < home.index("tutorials/02_more.html")

    write(project, "# %%\n1 / 0\n", name="02_more.py")
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "02_more.py: a cell fails" in result.stderr
