"""What a verb works on: one record a line, from files, standard input or the command line.

A line of text is one text; verbs that need several fields take them separated by tabs. A line of
JSON is an object with the fields by name, and others, which are kept. A record without text (an
empty line) stays in its place and has no result, so that output lines up with input.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

SEVERAL = "choices"  # the field that takes all the remaining columns


@dataclass(frozen=True)
class Record:
    """One line of input.

    Attributes:
        values: Its fields by name.
        names: The fields that the verb needs.
        place: Where it stands, for messages.
    """

    values: dict[str, Any]
    names: tuple[str, ...]
    place: str

    @property
    def empty(self) -> bool:
        """Whether a text that the verb needs is missing."""
        texts = [self.values.get(name) for name in self.names if name != SEVERAL]
        return any(text is None or not text.strip() for text in texts)


def given_records(arguments: tuple[str, ...], names: tuple[str, ...]) -> list[Record]:
    """Records from the command line: a text each, or all the fields of a single record.

    Raises:
        click.UsageError: There are too few or too many fields.
    """
    columns = [[text] for text in arguments] if len(names) == 1 else [[*arguments]]
    try:
        return [
            Record(_named(fields, names), names, f"argument {number}")
            for number, fields in enumerate(columns, start=1)
        ]
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def read_records(
    files: tuple[str, ...], names: tuple[str, ...], input_format: str | None, errors: str
) -> Iterator[Record]:
    """Records from files, line by line.

    Args:
        files: Their names; "-" is standard input.
        names: Fields of a record; the last may take several values.
        input_format: "text" or "jsonl"; None goes by each file's ending.
        errors: "strict" or "replace": what to do with bytes that are no UTF-8.

    Raises:
        ValueError: A line that is no UTF-8, no JSON object, or lacks a field; names file and line.
    """
    for file in files:
        as_json = input_format == "jsonl" or (input_format is None and file.endswith(".jsonl"))
        for place, line in read_lines(file, errors):
            try:
                if not line.strip():
                    values: dict[str, Any] = dict.fromkeys(names, "")
                elif as_json:
                    values = _parsed(line, names)
                else:
                    values = _named([line] if len(names) == 1 else line.split("\t"), names)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error
            yield Record(values, names, place)


def read_lines(file: str, errors: str) -> Iterator[tuple[str, str]]:
    """Lines of a file, each with its place as "file:number"; "-" is standard input.

    Lines end at a line feed and nowhere else, so that their number is everybody's.

    Raises:
        ValueError: Bytes that are not UTF-8, unless `errors` is "replace".
        OSError: The file can't be read.
    """
    if file == "-" and sys.stdin is None:
        raise OSError("standard input is closed")
    with click.open_file(file, "rb") as stream:
        for number, raw in enumerate(stream, start=1):
            place = f"{'standard input' if file == '-' else file}:{number}"
            encoding = "utf-8-sig" if number == 1 else "utf-8"
            try:
                line = raw.decode(encoding, errors)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{place}: byte {error.start + 1} of the line, 0x{raw[error.start]:02x}, is "
                    "not UTF-8; --errors replace puts \N{REPLACEMENT CHARACTER} in its place"
                ) from error
            yield place, line.removesuffix("\n").removesuffix("\r")


def parse_json(line: str) -> Any:
    """The value that a line of JSON stands for.

    Raises:
        ValueError: It is no JSON, nested too deeply, or a text in it holds half a surrogate pair.
    """
    try:
        value = json.loads(line)
        # Only an escape can bring one: the line itself was UTF-8.
        if "\\u" in line:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a text holds the lone surrogate {error.object[error.start]!r}, which is no character"
        ) from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError(f"JSON nested too deeply: {line[:40]}") from error


def _named(columns: list[str], names: tuple[str, ...]) -> dict[str, Any]:
    if names[-1] == SEVERAL:
        fixed = len(names) - 1
        if len(columns) < fixed + 2:
            raise ValueError(
                f"{_missing(len(columns), names)}: needs {', '.join(names[:-1])} and two {SEVERAL} "
                f"or more, separated by tabs in a file; there are {len(columns)} in all"
            )
        columns, rest = columns[:fixed], {SEVERAL: columns[fixed:]}
    else:
        rest = {}
        if len(columns) != len(names):
            wrong = "too many" if len(columns) > len(names) else _missing(len(columns), names)
            raise ValueError(
                f"{wrong}: needs {' and '.join(names)}, separated by a tab in a file; there "
                f"{'is' if len(columns) == 1 else 'are'} {len(columns)}"
            )
    return {**dict(zip(names, columns, strict=False)), **rest}


def _missing(count: int, names: tuple[str, ...]) -> str:
    return f"{names[min(count, len(names) - 1)]} missing"


def _parsed(line: str, names: tuple[str, ...]) -> dict[str, Any]:
    values = parse_json(line)
    if not isinstance(values, dict):
        raise ValueError(f"a JSON object with {', '.join(names)} is needed, not {line[:40]}")
    for name in names:
        if name not in values:
            raise ValueError(f"the object has no {name!r}; its keys are {[*values]}")
        value = values[name]
        if name == SEVERAL:
            if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
                raise ValueError(f"{name!r} is {value!r}, not a list of strings")
        elif value is not None and not isinstance(value, str):
            raise ValueError(f"{name!r} is {value!r}, not a string")
    return values
