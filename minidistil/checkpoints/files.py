"""Files of a checkpoint: written whole or not at all, read with errors that name the file."""

import contextlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

SCRATCH = ".saving-"  # how the name of a scratch folder begins
LOCK = f"{SCRATCH}lock"  # the file in it that its process holds
GRACE = 3600  # seconds after which a scratch folder that nobody holds is abandoned


@contextlib.contextmanager
def staged(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Collect files in a scratch folder, then move them into `folder`, each in one atomic step.

    All the slow and fallible work (writing, flushing to disk) happens in the scratch folder. Only
    when the block ends without an exception are the files renamed over their namesakes, so that an
    interrupted save leaves every old file whole. The renames follow one another in the order of
    the names: a crash in that last instant can leave new files beside old ones, never half a file.
    The scratch folder of a process that was killed is removed by a later call for the same folder.

    Args:
        folder: The destination; made, with its parents, where it does not exist.

    Yields:
        The scratch folder, inside `folder`, so that a rename never crosses file systems.

    Raises:
        ValueError: `folder` is empty; "." is the current folder.
        NotADirectoryError: `folder` is an existing file.
        FileNotFoundError: It, or a parent, is a link to a folder that is not there.
        OSError: A name is taken by something else than a file: a folder, a pipe, a device. (A link
            is replaced; the file that it points to stays as it is.)
    """
    if not os.fspath(folder):
        raise ValueError("'' is no folder to write into; for the current one pass '.'")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; a checkpoint is saved into a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        link = error.filename  # no folder, yet the name is taken
        raise FileNotFoundError(
            f"{link} is a link to a folder that is not there: make that folder or remove the link"
        ) from error
    scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder))
    try:
        with (scratch / LOCK).open("wb") as lock:
            _take(lock)
            _remove_abandoned(folder, scratch.stat().st_mtime)
            # What a new file gets here under the umask. (safetensors makes private ones; and the
            # mask itself can only be read by setting it, for all threads at once.)
            mode = stat.S_IMODE(os.fstat(lock.fileno()).st_mode)
            yield scratch
            written = sorted(path for path in scratch.iterdir() if path.name != LOCK)
            for path in written:
                target = folder / path.name
                if target.exists() and not target.is_file():
                    raise OSError(f"{target} is not a regular file: it is left alone")
                path.chmod(mode)
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
            for path in written:
                os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _remove_abandoned(folder: Path, now: float) -> None:
    """Remove the scratch folders of processes that were killed; those of living ones are locked."""
    for old in folder.glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError):  # it has gone meanwhile, or is somebody else's
            # A folder that was made just now may not be locked yet. Both times are the file
            # system's, whose clock need not be ours.
            if old.stat().st_mtime < now - GRACE:
                with (old / LOCK).open("wb") as lock:
                    abandoned = _take(lock)
                if abandoned:
                    shutil.rmtree(old)


def _take(lock: IO[bytes]) -> bool:
    """Lock a file until it is closed or the process ends; False where another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # or the file system has no locks
        return False
    return True


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: The file is no UTF-8, no JSON, or JSON of something else than an object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a JSON {type(value).__name__}, not an object")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object as transformers does: indented, sorted, with a final newline."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
