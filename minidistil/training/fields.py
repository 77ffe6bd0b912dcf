"""Lines, tables and JSON lines as named fields that know where they stand.

    file --lines--> [csv | json] --> Fields --readers.py--> records

A .csv is quoted as spreadsheets do it. A .tsv is not quoted, like those of GLUE: a line is a
record, a tab ends a column, and a quotation mark is a character like any other. Lines end at a line
feed and nowhere else, so that their number is everybody's.

Not here: what the fields mean (`readers.py`).
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidistil.tokenization.inputs import has_lone_surrogate

JSON_LINES = (".jsonl", ".json", ".ndjson")
TABLES = {".csv": (",", csv.QUOTE_MINIMAL), ".tsv": ("\t", csv.QUOTE_NONE)}


@dataclass(frozen=True)
class Fields:
    """What a file says of one record.

    Attributes:
        place: Where.
        values: By the file's names.
        names: Our name of a field to the file's, where they differ.
    """

    place: str
    values: Any
    names: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.values, dict):
            raise ValueError(f"{self.place}: {str(self.values)[:60]!r} is no JSON object")

    def take(self, name: str, kind: type = object) -> Any:
        """The value of a field.

        Raises:
            ValueError: It is not there, of another type, or holds half a surrogate pair.
        """
        name = (self.names or {}).get(name, name)
        if name not in self.values:
            raise ValueError(
                f"{self.place}: no {name!r} among {[*self.values]}; pass columns= (--column) where "
                "it is called otherwise, labelled=False (--unlabelled) where there are no labels"
            )
        value = self.values[name]
        if not isinstance(value, kind):
            raise ValueError(
                f"{self.place}: {name!r} is {str(value)[:60]!r}, not a {kind.__name__}"
            )
        if isinstance(value, str) and has_lone_surrogate(value):
            raise ValueError(f"{self.place}: {name!r} holds half a surrogate pair, no character")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        texts = self.take(name, list)
        return tuple(Fields(self.place, {name: text}).take(name, str) for text in texts)


def rows(
    path: Path, names: Mapping[str, str] | None, header: Sequence[str] | None
) -> Iterator[Fields]:
    """Records of a table or of JSON lines, by the file's ending; else lines, as the field `text`.

    Args:
        path: The file.
        names: As in `Fields`.
        header: Names of a table's columns; None takes them from its first line.

    Raises:
        ValueError: A line is no UTF-8, no JSON, or has more or fewer columns than names.
    """
    suffix = path.suffix.lower()
    if suffix in TABLES:
        yield from _table(path, *TABLES[suffix], names, header)
        return
    for place, line in lines(path):
        if line.strip():
            if suffix not in JSON_LINES:
                yield Fields(place, {"text": line.strip("\r\n")})
                continue
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{place}: not a line of JSON: {error}") from error
            yield Fields(place, values, names)


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines of a file, each with its place, "file:number".

    Raises:
        ValueError: Bytes that are not UTF-8.
    """
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}:{number}: byte {error.start + 1} of the line, "
                    f"0x{raw[error.start]:02x}, is not UTF-8; save the file in that encoding"
                ) from error
            yield f"{path}:{number}", line


def _table(
    path: Path,
    delimiter: str,
    quoting: Any,
    names: Mapping[str, str] | None,
    header: Sequence[str] | None,
) -> Iterator[Fields]:
    text = (line for _, line in lines(path))
    table = csv.reader(text, delimiter=delimiter, quoting=quoting, strict=True)
    place = f"{path}:1"
    try:
        for row in table:
            if row and header is not None:
                if len(row) != len({*header}):  # also where two columns have one name
                    raise ValueError(
                        f"{place}: {len(row)} columns, {str(row)[:80]}, for the names {[*header]}"
                    )
                yield Fields(place, dict(zip(header, row, strict=True)), names)
            header = header or row or None  # an empty line names nothing
            place = f"{path}:{table.line_num + 1}"
    except csv.Error as error:
        raise ValueError(
            f"{place}: {error}; see that quotes are closed, or write the file as JSON lines"
        ) from error
