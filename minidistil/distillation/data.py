"""Sequences of token ids on disk: `TokenFile` to read, `TokenWriter` to make one, crash-proof.

    text --preparation.py--> TokenWriter --files--> TokenFile --batches.py, masking.py--> batch

A folder of four files, all little-endian:

    tokens.bin   the ids of all sequences end to end, uint16 where the vocabulary allows, else int32
    offsets.npy  int64 (n+1,): sequence i is tokens offsets[i] : offsets[i+1]
    counts.npy   int64 (V,): how often each id occurs, for masking
    meta.json    vocabulary, special ids, settings; written last: without it nothing is finished

Not here: text (`preparation.py`).
"""

import io
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from minidistil.checkpoints.files import read_json

FORMAT = "minidistil tokens 1"
TOTALS = ("sequences", "tokens")
BLOCK = 1 << 20  # tokens looked at together


class TokenFile:
    """A finished folder, memory-mapped: a corpus may be larger than memory.

    `len(data)` is the number of sequences, `data[i]` the ids of one, [CLS] and [SEP] included.

    Args:
        folder: What `prepare` made.

    Attributes:
        meta: `vocab_size`, `special_ids` (unk, sep, pad, cls, mask), `tokenizer` (a hash of it),
            `dtype`, `sequences`, `tokens`, and how they were prepared.
        counts: int64 (V,), how often each id occurs.
        lengths: int32 (n,), tokens of each sequence.

    Raises:
        FileNotFoundError: The folder holds no finished token file.
        ValueError: It is damaged: files disagree, or an id is not in the vocabulary. All ids are
            looked at, some seconds for a billion: better now than in the night.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not (self.folder / "meta.json").is_file():
            raise FileNotFoundError(
                f"{self.folder} has no meta.json, so it is no finished token file: prepare() makes "
                "one, or goes on with what a kill has left"
            )
        self.meta = read_json(self.folder / "meta.json")
        if self.meta.get("format") != FORMAT:
            raise ValueError(f"{self.folder / 'meta.json'} does not say {FORMAT!r}")
        try:
            self._dtype = np.dtype(self.meta["dtype"]).newbyteorder("<")
            self._offsets = np.load(self.folder / "offsets.npy", mmap_mode="r")
            self.counts = np.load(self.folder / "counts.npy")
            self.lengths = np.diff(self._offsets).astype(np.int32)
            self._check()
        except (ValueError, LookupError, TypeError, EOFError, FileNotFoundError) as error:
            reason = f"{self.folder} is damaged: {error}; remove it and prepare it again"
            raise ValueError(reason) from error
        self._tokens = np.memmap(self.folder / "tokens.bin", self._dtype, mode="r")

    def _check(self) -> None:
        path, sequences, tokens = (self.folder / "tokens.bin", *map(self.meta.__getitem__, TOTALS))
        if (size := path.stat().st_size) != tokens * self._dtype.itemsize:
            raise ValueError(f"tokens.bin has {size} bytes for {tokens} tokens of {self._dtype}")
        ends = (len(self.lengths), int(self._offsets[0]), int(self._offsets[-1]))
        if ends != (sequences, 0, tokens) or (self._offsets[1:] <= self._offsets[:-1]).any():
            raise ValueError(f"offsets.npy does not rise from 0 to {tokens} in {sequences} steps")
        if not np.array_equal(_count(path, self._dtype, self.meta["vocab_size"]), self.counts):
            raise ValueError("counts.npy does not count what tokens.bin holds")

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.folder} has sequences 0 to {len(self) - 1}, not {index}")
        return np.asarray(self._tokens[self._offsets[index] : self._offsets[index + 1]])


class TokenWriter:
    """Appends sequences to an unfinished folder; what was saved outlives the process.

    The data grows at the end of its files, and `progress.json` says up to where it is good: what
    lies behind is cut off when the work goes on. A second writer takes the folder over: the first
    one finds out at its next `save` and stops, before it could finish.

    Args:
        folder: Made where it does not exist.
        job: What is written (`vocab_size`, `dtype`) and from what: a folder goes on with the same
            job only.

    Attributes:
        sequences: How many there are so far.
        tokens: Their tokens.
        state: What the last `save` was given; empty at the start.

    Raises:
        ValueError: The folder holds something else, or another job; or it is damaged.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any]) -> None:
        self.folder, self.job = folder, {"format": FORMAT, **job}
        self._run = secrets.token_hex(8)
        self._progress = folder / "progress.json"
        self._dtype = np.dtype(job["dtype"]).newbyteorder("<")
        folder.mkdir(parents=True, exist_ok=True)
        self.sequences, self.tokens, self.state = 0, 0, {}
        if self._progress.exists():
            saved = read_json(self._progress)
            check_job(folder, saved.get("job", {}), self.job)
            self.sequences, self.tokens = saved["sequences"], saved["tokens"]
            self.state = saved["state"]
        elif others := sorted({path.name for path in folder.iterdir()} - {"progress.json.new"}):
            raise ValueError(f"{folder} is not empty ({others[0]}): choose another folder")
        self._claim()
        header = _header(1) + bytes(8)  # offsets begin with a 0
        self._ids = self._open("tokens.bin", self.tokens * self._dtype.itemsize)
        self._offsets = self._open("offsets.npy", len(header) + 8 * self.sequences, header)

    def _open(self, name: str, good: int, start: bytes = b"") -> io.FileIO:
        """Open a data file at the end of its good part, and drop the rest."""
        path = self.folder / name
        path.touch()
        file = path.open("r+b", buffering=0)
        if file.seek(0, os.SEEK_END) < good and self.sequences:
            raise ValueError(f"{path} is shorter than the {good} bytes that were saved: remove it")
        file.seek(0)
        _write(file, start)
        file.truncate(good)
        file.seek(good)
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ids.close()
        self._offsets.close()

    def append(self, ids: np.ndarray, lengths: np.ndarray) -> None:
        """Add sequences of these lengths, their ids end to end."""
        _write(self._ids, ids.astype(self._dtype, copy=False).tobytes())
        _write(self._offsets, (self.tokens + np.cumsum(lengths)).astype("<i8").tobytes())
        self.sequences, self.tokens = self.sequences + len(lengths), self.tokens + len(ids)

    def save(self, state: Mapping[str, Any]) -> None:
        """Make what was appended so far outlive the process, and the machine.

        Raises:
            ValueError: Another process has taken the folder over.
        """
        for file in (self._ids, self._offsets):
            os.fsync(file.fileno())
        if not self._progress.exists() or read_json(self._progress)["run"] != self._run:
            raise ValueError(f"another process writes into {self.folder}: this one stops")
        self.state = dict(state)
        self._claim()

    def _claim(self) -> None:
        saved = {name: getattr(self, name) for name in ("job", *TOTALS, "state")}
        _replace_json(self._progress, {**saved, "run": self._run})

    def finish(self, state: Mapping[str, Any], notes: Mapping[str, Any]) -> TokenFile:
        """Save once more and make the folder a `TokenFile`.

        Args:
            state: As for `save`.
            notes: Go into meta.json.
        """
        self.save(state)
        self._offsets.seek(0)
        _write(self._offsets, _header(self.sequences + 1))
        os.fsync(self._offsets.fileno())
        counts = io.BytesIO()
        np.save(counts, _count(self.folder / "tokens.bin", self._dtype, self.job["vocab_size"]))
        _replace(self.folder / "counts.npy", counts.getvalue())
        totals = {name: getattr(self, name) for name in TOTALS}
        _replace_json(self.folder / "meta.json", {**self.job, **notes, **totals})
        self._progress.unlink()
        return TokenFile(self.folder)


def check_job(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that a folder was started with what it is to go on with.

    Raises:
        ValueError: Names the first thing that differs.
    """
    for name, value in now.items():
        if then.get(name) != value:
            raise ValueError(
                f"{folder} was started with {name} {then.get(name)!r}, which is now {value!r}: "
                "choose another folder, or remove this one to start anew"
            )


def _count(path: Path, dtype: np.dtype, vocab_size: int) -> np.ndarray:
    # Read and not mapped: mapped pages would count as this process's memory.
    counts = np.zeros(vocab_size, np.int64)
    with path.open("rb") as file:
        while len(ids := np.fromfile(file, dtype, BLOCK)):
            if (largest := ids.max()) >= vocab_size:
                raise ValueError(f"{path.name} holds the id {largest} of {vocab_size} tokens")
            counts += np.bincount(ids, minlength=vocab_size)
    return counts


def _header(count: int) -> bytes:
    """Start of a .npy file of int64; NumPy leaves room in it, so that its size never changes."""
    header = io.BytesIO()
    layout = {"descr": "<i8", "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(header, layout)
    return header.getvalue()


def _write(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        advice = f"{error.strerror}; what was saved before is good: make room and start again"
        raise OSError(error.errno, advice, str(file.name)) from error


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("wb", buffering=0) as file:
        _write(file, data)
        os.fsync(file.fileno())
    os.replace(new, path)


def _replace_json(path: Path, value: Mapping[str, Any]) -> None:
    _replace(path, (json.dumps(value, indent=2) + "\n").encode())
