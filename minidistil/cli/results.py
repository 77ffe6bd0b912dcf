"""From records to lines of output: one for each record, in order, as soon as it is known.

A pipeline reads some batches ahead, to put lines of similar length together: the first result is
known when so many lines were read, or the input has ended.
"""

import json
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
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
        ValueError: A record that the pipeline can't work with, or whose result holds NaN or
            infinity; names its place.
    """
    from tqdm import tqdm

    from minidistil.pipelines import InputError

    waiting: deque[Record] = deque()  # read, and without a result yet
    failure: Exception | None = None

    def items() -> Iterator[Any]:
        nonlocal failure
        try:
            for record in records:
                item = None if record.empty else item_of(record)
                waiting.append(record)
                if item is not None:
                    yield item
        except (OSError, ValueError) as error:
            # An end of the input like any other, until the lines before have their results.
            failure = error

    # Lines on the terminal show progress themselves, and a bar would break into them.
    hide_bar = sys.stdout.isatty() or None
    try:
        for result in tqdm(predict(items()), unit="line", disable=hide_bar, delay=3):
            while waiting[0].empty:
                yield waiting.popleft(), None
            record = waiting.popleft()
            if not _finite(result):
                raise ValueError(
                    f"{record.place}: the result holds NaN or infinity: the model's weights are "
                    "broken, or too large for their dtype"
                )
            yield record, result
    except InputError as error:
        # It comes after the results before it, so the first that waits for one is meant.
        place = next(record.place for record in waiting if not record.empty)
        raise ValueError(f"{place}: {error.reason}") from error
    for record in waiting:
        yield record, None
    if failure is not None:
        raise failure


def write(record: Record, result: Any, as_json: bool, show: Callable[[Any], str]) -> None:
    """Print one line: JSON, or what `show` makes of a result; empty where there is none.

    Raises:
        ValueError: The record has a field of the name that the line gives to the result, or a
            number that JSON can't write.
    """
    if as_json:
        if "result" in record.values:
            raise ValueError(
                f"{record.place}: the object has a 'result' already, and the output needs the "
                "name: rename the field"
            )
        line = {**record.values, "result": shortest(result)}
        try:
            text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise ValueError(f"{record.place}: a field holds NaN or infinity: no JSON") from error
        click.echo(text)
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


def _finite(value: Any) -> bool:
    import numpy as np

    if isinstance(value, np.ndarray):
        return bool(np.isfinite(value).all())
    if isinstance(value, list):
        return all(map(_finite, value))
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)


def one_line(text: str) -> str:
    """The text without line breaks; tabs stay."""
    return " ".join(text.splitlines())
