"""Passages out of files and folders, for the verb `search`.

A paragraph ends at a blank line. A file whose name ends in .jsonl holds an object a line, whose
"text" is a passage. In folders only text files are read.
"""

from collections.abc import Iterator
from pathlib import Path

from minidistil.cli.records import parse_json, read_lines
from minidistil.pipelines.search import Passage

SUFFIXES = (".txt", ".md", ".rst", ".jsonl")


def read_passages(paths: tuple[Path, ...], split: str, errors: str) -> Iterator[Passage]:
    """Passages of files, and of the text files in folders and below, in the order of their names.

    Args:
        paths: Files and folders.
        split: "paragraphs" or "lines".
        errors: "strict" or "replace": what to do with bytes that are no UTF-8.

    Raises:
        ValueError: A folder without a text file; a line that can't be read, by file and number.
        OSError: A file can't be read.
    """
    for path in paths:
        for file in _text_files(path) if path.is_dir() else [path]:
            lines = read_lines(str(file), errors)
            if file.suffix == ".jsonl":
                yield from _objects(lines, str(file))
            else:
                yield from _paragraphs(lines, str(file), split == "lines")


def _text_files(folder: Path) -> list[Path]:
    # What is no file may have such a name too: a folder, a pipe, a link to nowhere or to itself.
    named = (path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES)
    files = [path for path in named if path.is_file()]
    if not files:
        raise ValueError(f"{folder} holds no file that ends in {', '.join(SUFFIXES)}")
    return files


def _paragraphs(
    lines: Iterator[tuple[str, str]], source: str, each_line: bool
) -> Iterator[Passage]:
    block: list[str] = []
    first = 1
    for number, (_, line) in enumerate(lines, start=1):
        if block and (each_line or not line.strip()):
            yield Passage("\n".join(block), source, first)
            block = []
        if line.strip():
            if not block:
                first = number
            block.append(line)
    if block:
        yield Passage("\n".join(block), source, first)


def _objects(lines: Iterator[tuple[str, str]], source: str) -> Iterator[Passage]:
    for number, (place, line) in enumerate(lines, start=1):
        if line.strip():
            try:
                value = parse_json(line)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error
            if not isinstance(value, dict) or not isinstance(value.get("text"), str):
                raise ValueError(f'{place}: needs an object with a "text", not {line[:40]}')
            yield Passage(value["text"], source, number)
