"""Text to token ids on disk: streaming, resumable, faster than the tokenizer alone.

    files --blocks of lines--> Encoder --rows of ids, cut and sifted--> TokenWriter --> TokenFile

A WordPiece tokenizer treats every word by itself, and text is made of the same words again and
again. So a word is tokenized when it is first met, and its ids are looked up from then on: the rows
are those of the `tokenizers` library, in a fraction of its time. New words go to the library
together, which shares them among its threads. Two processes were no faster than this one on two
cores: passing text and ids between them costs what they save.

Source of the rules (a line is a sequence; what is cut, what is dropped): the recipe of Sanh et al.
2019, arXiv 1910.01108, `scripts/binarized_data.py` and `lm_seqs_dataset.py`.

Not here: the files (`data.py`), the recipe's shuffle (`batches.py`).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minidistil.arguments import whole
from minidistil.distillation.data import TokenFile, TokenWriter, check_job
from minidistil.tokenization import DistilBertTokenizer
from minidistil.tokenization.inputs import has_lone_surrogate
from minidistil.training import fingerprints
from minidistil.training.fields import JSON_LINES

BLOCK = 1 << 20  # bytes of text that are tokenized together
SAVED = 16  # blocks between two saves
KNOWN = 1 << 21  # characters of words whose ids are kept
SHARE = 1 << 12  # words that go to the library together: its results are large
SPECIAL = ("unk", "sep", "pad", "cls", "mask")


def prepare(
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    tokenizer: DistilBertTokenizer,
    folder: str | os.PathLike[str],
    *,
    max_length: int = 512,
    min_tokens: int = 12,
    max_unknown: float = 0.5,
    errors: str = "strict",
    progress: bool = True,
) -> TokenFile:
    """Tokenize files into a `TokenFile`, going on where an earlier call was killed.

    The result depends on the files, the tokenizer and the settings alone, byte for byte. Where
    `folder` is already finished from the same, it is returned as it is.

    Args:
        files: One sequence a line: plain text, or objects with a `"text"` where the name ends in
            .jsonl, .ndjson or .json.
        tokenizer: Of the teacher.
        folder: Where to; new or empty, or left behind by a call with the same arguments.
        max_length: In tokens. A longer sequence, [CLS] and [SEP] included, is cut into pieces of
            `max_length - 2`, and each gets the [CLS] and [SEP] that it lacks.
        min_tokens: Shorter sequences are dropped; [CLS] and [SEP] count.
        max_unknown: Sequences of which this share or more is [UNK] are dropped.
        errors: "strict", or "replace" to put U+FFFD in the place of bytes that are no UTF-8.
        progress: Show a bar, where standard error is a terminal.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file is empty, or a line is no UTF-8 or no such JSON; a setting has no such
            value; no sequence is left; `folder` holds something else, or was started with other
            arguments or from a file that says something else now, or a file changes meanwhile.
        OSError: The disk is full, or the like. Started again, the work goes on.
    """
    paths = [Path(file) for file in ([files] if isinstance(files, str | os.PathLike) else files)]
    if not paths:
        raise ValueError("give a file or more to prepare")
    encoder = Encoder(tokenizer, max_length, min_tokens, max_unknown)
    if errors not in ("strict", "replace"):
        raise ValueError(f"errors={errors!r} is neither 'strict' nor 'replace'")
    states = [_state(path) for path in paths]
    job = {**encoder.settings, "errors": errors, "number of files": len(paths)}
    job |= {f"file {number}": _described(path) for number, path in enumerate(paths, start=1)}
    folder = Path(folder)
    if (folder / "meta.json").exists():
        done = TokenFile(folder)
        check_job(folder, done.meta, job)
        (folder / "progress.json").unlink(missing_ok=True)  # a kill can leave it behind
        return done
    begun = np.cumsum([0, *(size for size, _ in states)]).tolist()
    start = {"file": 0, "offset": 0, "line": 1, "short": 0, "unknown": 0}
    total, shown = begun[-1], None if progress else True
    with (
        TokenWriter(folder, job) as writer,
        tqdm(total=total, unit="B", unit_scale=True, disable=shown) as bar,
    ):
        state = writer.state or start
        bar.initial = bar.n = begun[state["file"]] + state["offset"]
        for number, (texts, place) in enumerate(_blocks(paths, states, state, errors), start=1):
            ids, lengths, short, unknown = encoder(texts)
            writer.append(ids, lengths)
            dropped = {"short": state["short"] + short, "unknown": state["unknown"] + unknown}
            state = {**place, **dropped}
            if number % SAVED == 0:
                writer.save(state)
            bar.update(begun[state["file"]] + state["offset"] - bar.n)
        dropped = {f"dropped_{name}": state[name] for name in ("short", "unknown")}
        if not writer.sequences:
            raise ValueError(f"no sequence is left in {folder}: {dropped}")
        return writer.finish(state, dropped)


class Encoder:
    """Texts to rows of ids, by the rules of `prepare`.

    Attributes:
        settings: All that the ids hang on: vocabulary, special ids, tokenizer, rules.

    Raises:
        ValueError: A rule that no sequence can keep.
    """

    def __init__(
        self, tokenizer: DistilBertTokenizer, max_length: int, min_tokens: int, max_unknown: float
    ) -> None:
        if not 0 < max_unknown <= 1:
            raise ValueError(f"max_unknown={max_unknown!r} is no share above 0, up to 1")
        # 3: a sequence without a token of its own teaches nothing.
        self._min_tokens = whole("min_tokens", min_tokens, least=3)
        self._max_length = whole("max_length", max_length, least=self._min_tokens)
        self._max_unknown = max_unknown
        self._backend = tokenizer.private_backend()
        special = {name: getattr(tokenizer, f"{name}_token_id") for name in SPECIAL}
        vocab_size = max(self._backend.get_vocab().values()) + 1
        self._dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<i4")
        self._unk = special["unk"]
        self._cls, self._sep = (self._bytes([special[name]]) for name in ("cls", "sep"))
        # An added token with a space in it would be torn apart: then a whole text is one word.
        added = self._backend.get_added_tokens_decoder().values()
        self._torn = any(char.isspace() for token in added for char in token.content)
        self._known: dict[str, bytes] = {}
        self._characters = 0
        self.settings = {
            "vocab_size": vocab_size,
            "dtype": self._dtype.name,
            "special_ids": special,
            "tokenizer": hashlib.sha256(self._backend.to_str().encode()).hexdigest(),
            "vocabulary": fingerprints.of_vocabulary(tokenizer),
            "max_length": self._max_length,
            "min_tokens": self._min_tokens,
            "max_unknown": float(max_unknown),
        }

    def __call__(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Ids end to end, the lengths of the rows, and how many were dropped as short, unknown."""
        words = [[text] if self._torn else text.split(" ") for text in texts]
        self._learn(words)
        ids_of = self._known.__getitem__
        rows = [b"".join([self._cls, *map(ids_of, row), self._sep]) for row in words]
        rows = [piece for row in rows for piece in self._pieces(row)]
        ids = np.frombuffer(b"".join(rows), self._dtype)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows)) // self._dtype.itemsize
        short = lengths < self._min_tokens
        unknown = np.add.reduceat(ids == self._unk, np.cumsum(lengths) - lengths, dtype=np.int64)
        unknown = ~short & (unknown >= self._max_unknown * lengths)
        kept = ~(short | unknown)
        return ids[np.repeat(kept, lengths)], lengths[kept], int(short.sum()), int(unknown.sum())

    def _learn(self, texts: list[list[str]]) -> None:
        """Tokenize the words that are not known, and before that forget all if they are many."""
        if self._characters > KNOWN:
            self._known, self._characters = {}, 0
        words = list(set().union(*texts) - self._known.keys())
        for start in range(0, len(words), SHARE):
            share = words[start : start + SHARE]
            encodings = self._backend.encode_batch_fast(share, add_special_tokens=False)
            ids = (self._bytes(encoding.ids) for encoding in encodings)
            self._known.update(zip(share, ids, strict=True))
        self._characters += sum(map(len, words))

    def _bytes(self, ids: list[int]) -> bytes:
        return np.array(ids, self._dtype).tobytes()

    def _pieces(self, row: bytes) -> list[bytes]:
        size = self._dtype.itemsize
        if len(row) <= self._max_length * size:
            return [row]
        step = (self._max_length - 2) * size
        pieces = (row[start : start + step] for start in range(0, len(row), step))
        # As the recipe: a piece that happens to begin with [CLS] gets no second one.
        return [
            (b"" if piece.startswith(self._cls) else self._cls)
            + piece
            + (b"" if piece.endswith(self._sep) else self._sep)
            for piece in pieces
        ]


def _state(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in ns; ValueError: nothing is there to read."""
    stat = path.stat()
    if not path.is_file() or not stat.st_size:
        raise ValueError(f"{path} is {'empty' if path.is_file() else 'no regular file'}")
    return stat.st_size, stat.st_mtime_ns


def _described(path: Path) -> str:
    """What tells a file from another one and not from its copy."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return f"{path.name}, {stream.tell()} bytes, SHA-256 {digest}"


def _blocks(
    paths: list[Path], states: list[tuple[int, int]], place: Mapping[str, int], errors: str
) -> Iterator[tuple[list[str], dict[str, int]]]:
    """Texts from a place on, in blocks, each with the place behind it."""
    offset, line = place["offset"], place["line"]
    for index, path in list(enumerate(paths))[place["file"] :]:
        with path.open("rb") as stream:
            stream.seek(offset)
            while True:
                lines = stream.readlines(BLOCK)
                if _state(path) != states[index]:
                    raise ValueError(f"{path} changed while it was read: prepare it once it rests")
                if not lines:
                    break
                texts = [
                    _text(raw, path, number, errors) for number, raw in enumerate(lines, start=line)
                ]
                offset, line = stream.tell(), line + len(lines)
                yield texts, {"file": index, "offset": offset, "line": line}
        offset, line = 0, 1


def _text(raw: bytes, path: Path, line: int, errors: str) -> str:
    try:
        text = raw.decode("utf-8-sig" if line == 1 else "utf-8", errors).strip()
        if path.suffix.lower() not in JSON_LINES or not text:
            return text
        value = json.loads(text)
        field = value.get("text") if isinstance(value, dict) else None
        if not isinstance(field, str) or has_lone_surrogate(field):
            raise ValueError(f'an object with a string "text" is needed, not {text[:60]}')
        return field.strip()
    except (ValueError, RecursionError) as error:
        replaced = "; errors='replace' puts \N{REPLACEMENT CHARACTER} in the place of such bytes"
        advice = replaced if isinstance(error, UnicodeDecodeError) else ""
        raise ValueError(f"{path}:{line}: {error}{advice}") from error
