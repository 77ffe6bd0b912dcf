"""Files of a task as records, looked at line by line: what is wrong is found before training.

    file --fields.py--> fields --one function a task--> records --examples.py--> token ids

| task | file | fields |
|---|---|---|
| text-classification | .jsonl, .csv, .tsv; else a text a line | text, text_pair, label |
| token-classification | .jsonl; else CoNLL | tokens, tags; the first and the last column |
| question-answering | SQuAD 1.1 or 2.0 | as in SQuAD |
| multiple-choice | .jsonl, .csv, .tsv | prompt, choices (columns: choice0, choice1 ...), label |

Source: Ramshaw and Marcus 1995, arXiv cmp-lg/9505040 (BIO); Rajpurkar et al. 2016, arXiv
1606.05250, and 2018, arXiv 1806.03822 (SQuAD).
Not here: what a record is (`records.py`), token ids (`examples.py`).
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from minidistil.checkpoints.files import read_json
from minidistil.config import PROBLEM_TYPES
from minidistil.training.fields import JSON_LINES, Fields, lines, rows
from minidistil.training.records import ChoiceRecord, QuestionRecord, TagRecord, TextRecord

# Each task's fields, as far as they can have another name.
FIELDS = {
    "text-classification": ("text", "text_pair", "label"),
    "token-classification": ("tokens", "tags"),
    "question-answering": (),
    "multiple-choice": ("prompt", "choices", "label"),
}
TASKS = (*FIELDS,)


def read_examples(
    path: str | Path,
    task: str,
    *,
    problem_type: str = "single_label_classification",
    labelled: bool = True,
    columns: Mapping[str, str] | None = None,
    header: Sequence[str] | None = None,
) -> list[Any]:
    """Read all records of a file.

    Args:
        path: The file; its ending says how it is written.
        task: One of `TASKS`.
        problem_type: Of text classification, as in `DistilBertConfig`: labels are names, numbers,
            or several names, which a table separates by commas.
        labelled: False reads no labels, be there some or not.
        columns: What tables and JSON lines call a field of the task, where it is another name; for
            `choices` in a table, what the names of their columns start with.
        header: Names of a table's columns, where its first line is a record already.

    Returns:
        A list of `TextRecord`, `TagRecord`, `QuestionRecord` or `ChoiceRecord`.

    Raises:
        ValueError: Something in the file is not as it should be; names the file and the line, or
            the question. Or an argument has no such value.
    """
    path = Path(path)
    for value, known in ((task, TASKS), (problem_type, PROBLEM_TYPES)):
        if value not in known:
            raise ValueError(f"{value!r} is none of {known}")
    for name in columns or ():
        if name not in FIELDS[task]:
            raise ValueError(f"columns has {name!r}; the fields of {task} are {FIELDS[task]}")
    records: list[Any]
    if task == "question-answering":
        records = [*_questions(path, labelled)]
    elif task == "token-classification" and path.suffix.lower() not in JSON_LINES:
        records = [*_sentences(path, labelled)]
    elif task == "token-classification":
        records = [_tagged(row, labelled) for row in rows(path, columns, header)]
    elif task == "multiple-choice":
        records = [_choice(row, labelled) for row in rows(path, columns, header)]
    else:
        records = [_text(row, problem_type, labelled) for row in rows(path, columns, header)]
    if not records:
        raise ValueError(f"{path} holds no record")
    return records


def _text(row: Fields, problem_type: str, labelled: bool) -> TextRecord:
    paired = "text_pair" in (row.names or ()) or "text_pair" in row.values
    pair = row.take("text_pair", str) if paired else None
    label = _label(row, problem_type) if labelled else None
    return TextRecord(row.take("text", str), pair, label, row.place)


def _label(row: Fields, problem_type: str) -> str | float | tuple[str, ...]:
    value = row.take("label")
    if problem_type == "regression":
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{row.place}: the label {value!r} is no number")
        return number
    if problem_type == "single_label_classification":
        return _name(value, row.place)
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ValueError(f"{row.place}: the label {value!r} is no list of labels")
    return tuple(_name(part, row.place) for part in value)


def _name(value: Any, place: str) -> str:
    name = str(value).strip() if isinstance(value, str | int) else ""
    if not name:
        raise ValueError(
            f"{place}: {value!r} is no label; numbers need problem_type='regression', texts "
            "without labels labelled=False"
        )
    return Fields(place, {"label": name}).take("label")


def _tagged(row: Fields, labelled: bool) -> TagRecord:
    words = row.texts("tokens")
    tags = row.texts("tags") if labelled else None
    if not words or (tags is not None and len(tags) != len(words)):
        raise ValueError(f"{row.place}: {len(words)} tokens and {len(tags or ())} tags")
    return TagRecord(words, tags and tuple(_bio(tag, row.place) for tag in tags), row.place)


def _bio(tag: str, place: str) -> str:
    if tag != "O" and (tag[:2] not in ("B-", "I-") or len(tag) == 2):
        raise ValueError(
            f"{place}: the tag {tag!r} is not O, B-kind or I-kind; rewrite other schemes as BIO"
        )
    return tag


def _sentences(path: Path, labelled: bool) -> Iterator[TagRecord]:
    """CoNLL: a word a line, its tag in the last column, an empty line after each sentence."""
    width = 0
    for empty, group in groupby(lines(path), key=lambda line: not line[1].strip()):
        words, tags, places = [], [], []
        for place, line in () if empty else group:
            cells = line.rstrip().split("\t") if "\t" in line.rstrip() else line.split()
            if cells[0] == "-DOCSTART-":
                continue
            width = width or max(len(cells), 1 + labelled)
            if len(cells) != width or not cells[0]:
                raise ValueError(f"{place}: {cells} is not a token and its tag in {width} columns")
            words.append(cells[0])
            tags.append(_bio(cells[-1], place) if labelled else "")
            places.append(place)
        if words:
            yield TagRecord(tuple(words), tuple(tags) if labelled else None, places[0])


def _choice(row: Fields, labelled: bool) -> ChoiceRecord:
    names = row.names or {}
    prefix, found = names.get("choices", "choice"), row.values.get(names.get("choices", "choices"))
    if not isinstance(found, list):
        numbered = re.compile(rf"{re.escape(prefix)}[ _-]?(\d+|[A-Za-z])")
        columns = [name for name in row.values if numbered.fullmatch(name)]
        # By their numbers or letters, wherever they stand: choice2 comes before choice10.
        found = [row.values[name] for name in sorted(columns, key=lambda name: (len(name), name))]
    choices = Fields(row.place, {prefix: found}).texts(prefix)
    if len(choices) < 2:
        raise ValueError(
            f"{row.place}: two choices are needed: a list in JSON, columns {prefix}0, {prefix}1 "
            f"and so on in a table; {len(choices)} among {[*row.values]}"
        )
    value = str(row.take("label")).strip() if labelled else "0"
    label = int(value) if value.isdecimal() else -1
    if label not in range(len(choices)):
        raise ValueError(
            f"{row.place}: the label {value!r} is no choice's number, 0 to {len(choices) - 1}"
        )
    return ChoiceRecord(row.take("prompt", str), choices, label if labelled else None, row.place)


def _questions(path: Path, labelled: bool) -> Iterator[QuestionRecord]:
    ids: set[str] = set()
    for article in Fields(str(path), read_json(path)).take("data", list):
        for paragraph in Fields(str(path), article).take("paragraphs", list):
            told = Fields(f"{path}, after {len(ids)} questions", paragraph)
            context = told.take("context", str)
            for question in told.take("qas", list):
                name = Fields(told.place, question).take("id", str)
                asked = Fields(f"{path}, question {name!r}", question)
                if name in ids:
                    raise ValueError(f"{asked.place}: there is another one with this id")
                ids.add(name)
                answers = _answers(asked, context) if labelled else ()
                impossible = labelled and question.get("is_impossible", False) is True
                if labelled and impossible == bool(answers):
                    raise ValueError(
                        f"{asked.place}: {len(answers)} answers, and is_impossible={impossible}; "
                        "labelled=False reads questions without answers"
                    )
                text = asked.take("question", str)
                yield QuestionRecord(name, text, context, answers, impossible, asked.place)


def _answers(asked: Fields, context: str) -> tuple[tuple[str, int], ...]:
    answers = []
    for answer in asked.take("answers", list):
        said = Fields(asked.place, answer)
        text, start = said.take("text", str), said.take("answer_start", int)
        if start < 0 or not text.strip() or not context.startswith(text, start):
            raise ValueError(
                f"{asked.place}: the answer {text!r} does not stand at character {start} of its "
                f"context, where it is found at {context.find(text)} (-1: nowhere)"
            )
        answers.append((text, start))
    return tuple(answers)
