"""Files of a checkpoint: written whole or not at all, read with errors that name the file."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def staged(folder: str | Path) -> Iterator[Path]:
    """Collect files in a scratch folder, then move them into `folder`, each in one atomic step.

    All the slow and fallible work (writing, flushing to disk) happens in the scratch folder. Only
    when the block ends without an exception are the files renamed over their namesakes, so that an
    interrupted save leaves every old file whole. The renames follow one another in the order of
    the names: a crash in that last instant can leave new files beside old ones, never half a file.

    Args:
        folder: The destination; made, with its parents, where it does not exist.

    Yields:
        The scratch folder, inside `folder`, so that a rename never crosses file systems.

    Raises:
        NotADirectoryError: `folder` is an existing file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; a checkpoint is saved into a folder")
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
    try:
        yield scratch
        written = sorted(scratch.iterdir())
        for path in written:
            # mkdtemp and safetensors make private files; a saved model follows the umask instead.
            path.chmod(0o666 & ~_umask())
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        for path in written:
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: The file is no UTF-8, no JSON, or JSON of something else than an object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a JSON {type(value).__name__}, not an object")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object as transformers does: indented, sorted, with a final newline."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
