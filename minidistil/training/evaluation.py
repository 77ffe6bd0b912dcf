"""Predictions of a model on examples, and their scores.

    examples --collate, model--> logits --decoding.py, metrics.py--> scores

Not here: results for users (`pipelines/`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from minidistil.heads import DistilBertForQuestionAnswering, DistilBertForTokenClassification
from minidistil.heads.base import DistilBertHead
from minidistil.training.decoding import best_answers, word_tags
from minidistil.training.examples import Example, collate
from minidistil.training.head_objective import LABELS
from minidistil.training.metrics import (
    answer_metrics,
    choice_metrics,
    installed,
    tag_metrics,
    text_metrics,
)
from minidistil.training.records import (
    ChoiceRecord,
    QuestionRecord,
    Record,
    TagRecord,
    TextRecord,
    is_labelled,
)
from minidistil.training.trainer import to_device


def predict(
    model: DistilBertHead, examples: Sequence[Example], batch_size: int = 32
) -> list[Tensor]:
    """Float32 logits of each example, on the CPU, in eval mode; the model's mode stays.

    Returns:
        For each example (num_labels,) of a text, (S, num_labels) of a sentence, (2, S) of a window
        of question answering, (C,) of choices.
    """
    training = model.training
    model.eval()
    logits: list[Tensor] = []
    with torch.inference_mode():
        for first in range(0, len(examples), batch_size):
            chunk = examples[first : first + batch_size]
            batch = to_device(collate(chunk), model.device)
            inputs = {k: v for k, v in batch.items() if k not in LABELS}
            output: Any = model(**inputs, return_dict=True)
            lengths = [len(example.rows[0]) for example in chunk]
            if isinstance(model, DistilBertForQuestionAnswering):
                both = torch.stack((output.start_logits, output.end_logits)).float().cpu()
                logits += both.split(lengths, dim=1)
            elif isinstance(model, DistilBertForTokenClassification):
                logits += output.logits.float().cpu().split(lengths)
            else:
                logits += output.logits.float().cpu()
    model.train(training)
    return logits


def check_scorer(records: Sequence[Record]) -> None:
    """Check that what counts the scores of such records is installed.

    Raises:
        ValueError: It is not.
    """
    if records and isinstance(records[0], TextRecord):
        installed("torchmetrics")
    if records and isinstance(records[0], TagRecord):
        installed("seqeval.metrics")


def evaluate(
    model: DistilBertHead,
    records: Sequence[Record],
    examples: Sequence[Example],
    *,
    batch_size: int = 32,
    null_threshold: float | None = None,
) -> dict[str, float]:
    """The scores of a model on labelled records: see `metrics.py` for those of each task.

    Args:
        model: Any head but that of masked language modelling.
        records: With labels.
        examples: Made from them.
        batch_size: Examples that go through the model at a time.
        null_threshold: Of question answering, as in `best_answers`. None is 0 where a question is
            impossible, as in SQuAD 2.0, else infinite: there is always an answer.

    Raises:
        ValueError: No records, or unlabelled ones.
    """
    if not records:
        raise ValueError("there is nothing to evaluate on: the data has no records")
    for record in records:
        if not is_labelled(record):
            raise ValueError(f"{record.place} has no label: there is nothing to hold a guess to")
    logits = predict(model, examples, batch_size)
    questions = [record for record in records if isinstance(record, QuestionRecord)]
    if questions:
        if null_threshold is None:
            null_threshold = 0.0 if any(q.impossible for q in questions) else float("inf")
        given = best_answers(examples, logits, questions, null_threshold=null_threshold)
        return answer_metrics(given, questions)
    sentences = [record for record in records if isinstance(record, TagRecord)]
    if sentences:
        tags = word_tags(examples, logits, sentences, model.config.id2label)
        return tag_metrics(tags, [[*(record.tags or ())] for record in sentences])
    labels = torch.tensor([example.labels["labels"] for example in examples])
    if isinstance(records[0], ChoiceRecord):
        return choice_metrics(torch.stack(logits), labels)
    problem = model.config.problem_type or "single_label_classification"
    return text_metrics(torch.stack(logits), labels, problem)
