"""Records as token ids with labels, and examples as a batch for the head of their task.

    records --make_examples--> examples --collate--> batch --model--> logits

A batch has no padding: its sequences lie end to end, with `cu_seqlens` between them. Only the
choices of a question are padded, because their head takes (B, C, S).

An unlabelled example has labels that teach nothing: -100, NaN where labels are numbers, positions
past the end where they are places. NaN is for objectives that leave it out; the loss of a head
would be NaN, too.

Source: Devlin et al. 2018, sections 4.2 and 5.3 (windows, first sub-tokens).
Not here: files (`readers.py`), which examples make a batch, the way back from logits
(`decoding.py`).
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding
from torch import Tensor

from minidistil.distillation.batches import pack, pad
from minidistil.heads.base import IGNORE_INDEX
from minidistil.pipelines.question_answering import Question, context_words, windows
from minidistil.tokenization import DistilBertTokenizer
from minidistil.training.records import QuestionRecord, Record, TagRecord, TextRecord, label_map


@dataclass(frozen=True, eq=False)
class Example:
    """A text, a window of one, or a prompt with all its choices.

    Attributes:
        rows: Token ids, int32 (S,) each: one row, or one a choice.
        labels: What is right, by the head's keyword: a number, a tuple of 0 and 1 for every label,
            or an array (S,) with the tags of words at their first tokens and -100 elsewhere.
        record: The number of the record that it comes from.
        words: For the way back. Of a sentence int32 (S,): the word whose first token stands there,
            else -1. Of a context int32 (S, 2): the characters of each token's word, else -1.
    """

    rows: list[np.ndarray]
    labels: dict[str, Any]
    record: int
    words: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int32))


def make_examples(
    records: Sequence[Record],
    tokenizer: DistilBertTokenizer,
    *,
    max_length: int,
    id2label: Mapping[int, str] | None = None,
    problem_type: str = "single_label_classification",
    doc_stride: int | None = None,
) -> list[Example]:
    """Tokenize records of one task.

    Sentences and contexts that are too long become several windows. Those of a sentence share a
    quarter of their tokens, and a word is labelled in the first window that it starts in, nowhere
    else. Other texts are cut, with one warning.

    Args:
        records: Of one kind.
        tokenizer: Makes the tokens.
        max_length: Of a row, in tokens.
        id2label: The label map, for labels that are names.
        problem_type: Of texts, as in `DistilBertConfig`.
        doc_stride: Tokens of context that a window repeats from the window before; None is 128 or
            half a window.

    Raises:
        ValueError: A label is not in the map, or a question leaves no room for its context; the
            message names the place. Or prompts have different numbers of choices; or no records.
    """
    if not records:
        raise ValueError("there are no records to make examples of")
    ids: dict[str, int] = {}
    if isinstance(records[0], TagRecord | TextRecord) and problem_type != "regression":
        names = label_map(records, id2label or {})
        ids = {name: index for index, name in sorted(names.items())}
    encode = partial(tokenizer, truncation=True, max_length=max_length)
    examples, cut = [], 0
    for number, record in enumerate(records):
        if isinstance(record, QuestionRecord):
            examples += _question(record, number, tokenizer, max_length, doc_stride)
        elif isinstance(record, TagRecord):
            stride = max_length // 4
            row = encode(record.words, stride=stride, is_split_into_words=True).encodings[0]
            examples += _sentence(record, number, [row, *row.overflowing], ids)
        else:
            if isinstance(record, TextRecord):
                pairs = [(record.text, record.text_pair)]
                labels = _label(record.label, ids, problem_type)
            else:
                pairs = [(record.prompt, choice) for choice in record.choices]
                labels = IGNORE_INDEX if record.label is None else record.label
            rows = [encode(text, pair).encodings[0] for text, pair in pairs]
            cut += any(row.overflowing for row in rows)
            examples.append(Example([*map(_array, rows)], {"labels": labels}, number))
    if cut:
        warnings.warn(
            f"{cut} of {len(records)} records have more than {max_length} tokens: what comes after "
            "them is not read",
            stacklevel=2,
        )
    if len(counts := {len(example.rows) for example in examples}) > 1:
        raise ValueError(f"records have {sorted(counts)} choices, and a batch holds one number")
    return examples


def collate(examples: Sequence[Example]) -> dict[str, Any]:
    """A batch of examples of one task: inputs and labels by the names that the head gives them."""
    rows = [row for example in examples for row in example.rows]
    if len(rows) > len(examples):
        shape = (len(examples), len(examples[0].rows), -1)
        # The mask hides the padding: any id will do.
        padded = pad(rows, pad_id=0)
        batch: dict[str, Any] = {name: value.view(shape) for name, value in padded.items()}
    else:
        batch = pack(rows)
    for name, first in examples[0].labels.items():
        values: Any = [example.labels[name] for example in examples]
        values = np.concatenate(values) if isinstance(first, np.ndarray) else values
        batch[name] = torch.tensor(values)
    return batch


def _array(row: Encoding) -> np.ndarray:
    return np.array(row.ids, dtype=np.int32)


def _label(label: Any, ids: Mapping[str, int], problem_type: str) -> Any:
    if problem_type == "single_label_classification":
        return IGNORE_INDEX if label is None else ids[label]
    if problem_type == "regression":
        return math.nan if label is None else float(label)
    return tuple(math.nan if label is None else float(name in label) for name in ids)


def _sentence(
    record: TagRecord, number: int, rows: list[Encoding], ids: Mapping[str, int]
) -> list[Example]:
    examples, known = [], -1
    for row in rows:
        words = np.array([-1 if word is None else word for word in row.word_ids], dtype=np.int32)
        # Words count up, so a first token is where the count passes all that came before.
        before = np.maximum.accumulate(np.append(known, words))
        words[words <= before[:-1]] = -1
        known = before[-1]
        tags = [
            IGNORE_INDEX if word < 0 or not record.tags else ids[record.tags[word]]
            for word in words
        ]
        labels = {"labels": np.array(tags)}
        examples.append(Example([_array(row)], labels, number, torch.from_numpy(words)))
    return examples


def _question(
    record: QuestionRecord,
    number: int,
    tokenizer: DistilBertTokenizer,
    max_length: int,
    doc_stride: int | None,
) -> list[Example]:
    try:
        item = Question(record.question, record.context)
        rows = windows(tokenizer, item, max_length, doc_stride)
    except ValueError as error:
        raise ValueError(f"{record.place}: {error}") from error
    examples = []
    for row in rows:
        words = context_words(row)
        start, end = _span(record, row, words, row is rows[0], row is rows[-1])
        labels = {"start_positions": start, "end_positions": end}
        examples.append(Example([_array(row)], labels, number, words))
    return examples


def _span(
    record: QuestionRecord, row: Encoding, words: Tensor, first: bool, last: bool
) -> tuple[int, int]:
    """First and last token of the (first) answer; those of [CLS] where the window lacks a part."""
    if not record.answers:
        return (0, 0) if record.impossible else (len(row), len(row))
    text, start = record.answers[0]
    begin, end = start + len(text) - len(text.lstrip()), start + len(text.rstrip())
    tokens = np.flatnonzero(words[:, 0].numpy() >= 0)
    starts, ends = np.array(row.offsets)[tokens].T
    held = tokens[(starts < end) & (ends > begin)]
    if not len(held) or (starts[0] > begin and not first) or (ends[-1] < end and not last):
        return 0, 0
    return int(held[0]), int(held[-1])
