"""Where fine-tuning starts: a checkpoint with a head for the task.

    name, task, records --start_from--> encoder of the checkpoint, its head or a new one

Not here: the run (`finetuning.py`).
"""

from collections.abc import Sequence
from typing import Any

import torch

from minidistil.config import DistilBertConfig
from minidistil.heads import (
    DistilBertForMultipleChoice,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
)
from minidistil.heads.base import DistilBertHead
from minidistil.training.records import Record, label_map

HEADS: dict[str, type[DistilBertHead]] = {
    "text-classification": DistilBertForSequenceClassification,
    "token-classification": DistilBertForTokenClassification,
    "question-answering": DistilBertForQuestionAnswering,
    "multiple-choice": DistilBertForMultipleChoice,
}


def start_from(
    name: str, task: str, records: Sequence[Record], problem_type: str, seed: int = 42
) -> DistilBertHead:
    """A checkpoint with a head for a task, in float32: its own, or a new one where none fits.

    Args:
        name: Folder or hub id.
        task: One of `HEADS`.
        records: Their labels make the label map, unless the checkpoint has one that holds them all.
        problem_type: Of texts, as in `DistilBertConfig`.
        seed: Of a new head.

    Raises:
        ValueError: The records have no label to make a map of, or only one.
    """
    torch.manual_seed(seed)
    known = DistilBertConfig.from_pretrained(name)
    texts = task == "text-classification"
    # The checkpoint may be of another task: what it said of that one is not for this one.
    fields: dict[str, Any] = {"problem_type": problem_type if texts else None}
    if task == "multiple-choice" or (texts and problem_type == "regression"):
        fields["num_labels"] = 1
    elif task == "question-answering":
        fields["num_labels"] = 2
    else:
        needed = label_map(records)
        if not {*needed.values()} <= {*known.id2label.values()}:
            fields["id2label"] = needed
        if texts and problem_type == "single_label_classification" and len(needed) == 1:
            raise ValueError(f"every record has the label {needed[0]!r}: nothing to tell apart")
    model, _ = HEADS[task].from_pretrained(
        name, dtype="float32", ignore_mismatched_sizes=True, output_loading_info=True, **fields
    )
    if "id2label" in fields:
        # As many labels, but others: the last layer would take the one for the other.
        fresh: Any = HEADS[task](model.config)
        model.get_submodule("classifier").load_state_dict(fresh.classifier.state_dict())
    return model
