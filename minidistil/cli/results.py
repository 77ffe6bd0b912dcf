"""From records to lines of output: one for each record, in order, as soon as it is known."""

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

import click

from minidistil.cli.records import Record

Predict = Callable[[Iterator[Any]], Iterable[Any]]


def results_of(
    records: Iterable[Record], item_of: Callable[[Record], Any], predict: Predict
) -> Iterator[tuple[Record, Any]]:
    """Every record with its result, None where the record is empty.

    Args:
        records: Read as needed, not all at once.
        item_of: Makes a pipeline's input of a record.
        predict: A pipeline.

    Raises:
        ValueError: A record that the pipeline can't work with; names its place.
    """
    from tqdm import tqdm

    from minidistil.pipelines import InputError

    waiting: deque[Record] = deque()
    failures: list[Exception] = []

    def items() -> Iterator[Any]:
        try:
            for record in records:
                waiting.append(record)
                if not record.empty:
                    yield item_of(record)
        except (OSError, ValueError) as error:
            # An end of the input like any other, until the lines before have their results.
            failures.append(error)

    def answered(results: Iterable[Any]) -> Iterator[tuple[Record, Any]]:
        for result in results:
            while waiting[0].empty:
                yield waiting.popleft(), None
            yield waiting.popleft(), result
        while waiting:
            yield waiting.popleft(), None
        if failures:
            raise failures[0]

    done = count()
    # Lines on the terminal show progress themselves, and a bar would break into them.
    hide_bar = sys.stdout.isatty() or None
    try:
        for pair in tqdm(answered(predict(items())), unit="line", disable=hide_bar, delay=3):
            if pair[1] is not None:
                next(done)
            yield pair
    except InputError as error:
        full = [record for record in waiting if not record.empty]
        place = full[error.index - next(done)].place
        raise ValueError(f"{place}: {error.reason}") from error


def write(record: Record, result: Any, as_json: bool, show: Callable[[Any], str]) -> None:
    """Print one line: JSON, or what `show` makes of a result; empty where there is none.

    Raises:
        ValueError: The record has a field of the name that the line gives to the result.
    """
    if as_json:
        if "result" in record.values:
            raise ValueError(
                f"{record.place}: the object has a 'result' already, and the output needs the "
                "name: rename the field"
            )
        line = {**record.values, "result": shortest(result)}
        click.echo(json.dumps(line, ensure_ascii=False))
    else:
        click.echo("" if result is None else one_line(show(result)))


def shortest(value: Any) -> Any:
    """A result with floats as short as they can be and still be the same float32 when read."""
    import numpy as np

    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return float(str(np.float32(value)))
    if isinstance(value, list):
        return [shortest(item) for item in value]
    if isinstance(value, dict):
        return {name: shortest(item) for name, item in value.items()}
    return value


def one_line(text: str) -> str:
    """The text without line breaks; tabs stay."""
    return " ".join(text.splitlines())
