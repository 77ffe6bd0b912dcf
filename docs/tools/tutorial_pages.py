"""Turn every tutorial script into a page that shows its real outputs.

    python docs/tools/tutorial_pages.py

Reads `tutorials/NN_name.py` (py:percent: `# %%` starts a code cell, `# %% [markdown]` a text cell),
runs each in a fresh kernel and writes to `.cache/tutorials/pages/` the page, its pictures, the
script and a notebook without outputs. A script runs again only when it or the library changed.

What a script has to keep to:

- The first cell is text and starts with the title, `# Title`.
- A cell that draws says in words what each picture shows, one comment a picture, in order:
  `# alt: ...`. It may go on in comment lines indented by two spaces or more, and does not appear
  on the page.
- No cell fails, none reaches for the network, none prints a path of the machine it runs on or the
  address of an object, which is another one in every run.

*Not here*: HTML output (a page shows text and PNG pictures), and what a script writes to stderr,
such as warnings and progress bars: that goes to the stderr of this program.
"""

import base64
import hashlib
import os
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import jupytext
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tutorials"
CACHE = ROOT / ".cache" / "tutorials"
SECONDS_A_CELL = 600

# Runs before the first cell. A tutorial that downloads something would fail for a reader on a
# train, so it fails here as well. The kernel's own sockets are opened in C and go unnoticed.
SETUP = """
import sys

def refuse_network(event, args):
    if event == "socket.getaddrinfo" and args[0] not in (None, "localhost", "127.0.0.1", "::1"):
        raise OSError(f"a tutorial must run without a network, this one asks for {args[0]!r}")

sys.addaudithook(refuse_network)
del refuse_network
%config InlineBackend.figure_format = "retina"
"""

_ALT = re.compile(r"^# alt: *(.+(?:\n#  +.+)*)\n?", re.MULTILINE)
_ADDRESS = re.compile(r"<[^<>\n]* at 0x[0-9A-Fa-f]+>")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class TutorialError(Exception):
    """A tutorial can't be made into a page; the message names the script and the reason."""


class SamePython(AsyncKernelManager):
    """Starts the interpreter that runs this build, whatever kernels the machine has registered."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The one kernel there is."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def build() -> list[Path]:
    """Bring all pages up to date.

    Returns:
        The Markdown files, in reading order.

    Raises:
        TutorialError: A cell fails, a picture has no alternative text, there is no title, or the
            output shows a path of this machine or the address of an object.
    """
    pages, executed = CACHE / "pages", CACHE / "executed"
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    executed.mkdir(exist_ok=True)
    scripts = sorted(SCRIPTS.glob("[0-9][0-9]_*.py"))
    current = {script: executed / f"{script.stem}-{_key(script)}.ipynb" for script in scripts}
    for script, notebook in current.items():
        if not notebook.exists():
            jupytext.write(_execute(script), notebook)
        _write_page(script, jupytext.read(notebook), pages)
    for outdated in set(executed.iterdir()) - set(current.values()):
        outdated.unlink()
    return [pages / f"{script.stem}.md" for script in scripts]


def _key(script: Path) -> str:
    """Changes with anything that may change an output: script, library, this file, versions."""
    library = [
        path
        for package in ("minidistil", "kernels")
        for path in sorted((ROOT / package).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    versions = f"{sys.version} {version('torch')} {version('matplotlib')}"
    digest = hashlib.sha256(versions.encode())
    for path in [script, Path(__file__), *library]:
        digest.update(path.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _execute(script: Path) -> NotebookNode:
    notebook = jupytext.read(script)
    notebook.cells.insert(0, new_code_cell(SETUP))
    client = NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        kernel_manager_class=SamePython,
        resources={"metadata": {"path": str(ROOT)}},
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]),
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    try:
        client.execute(env=environment)
    except (CellControlSignal, DeadKernelError) as error:
        raise TutorialError(f"{script.name}: a cell fails.\n{_ANSI.sub('', str(error))}") from error
    del notebook.cells[0]
    return notebook


def _write_page(script: Path, notebook: NotebookNode, pages: Path) -> None:
    title, *first = notebook.cells[0].source.split("\n") if notebook.cells else [""]
    if not title.startswith("# "):
        raise TutorialError(f"{script.name}: the first cell must start with '# Title'")
    downloads = (
        f"[Script]({script.name}){{ download }} · [Notebook]({script.stem}.ipynb){{ download }}"
        "\n{ .downloads }"
    )
    parts = [title, downloads, "\n".join(first)]
    pictures: list[bytes] = []
    for cell in notebook.cells[1:]:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            parts += _code(script, cell, pictures)
    (pages / f"{script.stem}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    for number, picture in enumerate(pictures, start=1):
        (pages / f"{script.stem}_{number}.png").write_bytes(picture)
    shutil.copyfile(script, pages / script.name)
    clean = jupytext.read(script)
    clean.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    jupytext.write(clean, pages / f"{script.stem}.ipynb")


def _code(script: Path, cell: NotebookNode, pictures: list[bytes]) -> list[str]:
    """The Markdown of a code cell and its outputs; pictures are added to `pictures`."""
    alts = [re.sub(r"\s*\n#\s*", " ", alt) for alt in _ALT.findall(cell.source)]
    parts = [_fence("python", _ALT.sub("", cell.source))]
    drawn = 0
    for output in _outputs(script, cell):
        if output.output_type == "stream":
            parts.append(_text(script, output.text))
        elif output.output_type not in ("display_data", "execute_result"):
            raise TutorialError(f"{script.name}: a page can't show output {output.output_type!r}")
        elif "image/png" in output.data:
            pictures.append(base64.b64decode(output.data["image/png"]))
            width = output.metadata["image/png"]["width"]
            alt = alts[drawn] if drawn < len(alts) else ""
            name = f"{script.stem}_{len(pictures)}.png"
            parts.append(f'![{_inline(alt)}]({name}){{ width="{width}" }}')
            drawn += 1
        else:
            parts.append(_text(script, output.data["text/plain"]))
    if drawn != len(alts):
        raise TutorialError(
            f"{script.name}: a cell draws {drawn} picture(s) and has {len(alts)} comment(s) "
            f"'# alt: ...'; each picture needs one.\n{cell.source}"
        )
    return parts


def _outputs(script: Path, cell: NotebookNode) -> list[NotebookNode]:
    """What a cell shows; text that the kernel cut in two where it flushed is joined again."""
    outputs: list[NotebookNode] = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            print(f"{script.name}: {output.text}", file=sys.stderr)
        elif outputs and output.output_type == outputs[-1].output_type == "stream":
            outputs[-1].text += output.text
        else:
            outputs.append(output)
    return outputs


def _text(script: Path, text: str) -> str:
    for path in (str(ROOT), sys.prefix):
        if path in text:
            raise TutorialError(f"{script.name}: the output shows {path}, a path of this machine")
    if address := _ADDRESS.search(text):
        raise TutorialError(
            f"{script.name}: the output shows {address.group()}, an address that changes with "
            "every run: print something else of the object"
        )
    return _fence("{ .text .output .no-copy }", _ANSI.sub("", text))


def _fence(info: str, text: str) -> str:
    """A code block that no run of backticks in `text` can close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{' ' if info.startswith('{') else ''}{info}\n{text.rstrip()}\n{ticks}"


def _inline(text: str) -> str:
    """Plain words, safe inside the brackets of a picture."""
    return re.sub(r"([\\`*_{}\[\]<>$])", r"\\\1", text)


if __name__ == "__main__":
    try:
        for page in build():
            print(page.relative_to(ROOT))
    except TutorialError as error:
        sys.exit(str(error))
