"""Which class a checkpoint is of: what its config says, or what a task needs.

    config, --task --class_of--> class

Not here: the verbs (`checkpoints.py`, `explain.py`, `export.py`), and loading
(`checkpoints/trained.py`).
"""

import re
from typing import Any

import click

CLASSES = {
    "fill-mask": "DistilBertForMaskedLM",
    "text-classification": "DistilBertForSequenceClassification",
    "token-classification": "DistilBertForTokenClassification",
    "question-answering": "DistilBertForQuestionAnswering",
    "multiple-choice": "DistilBertForMultipleChoice",
    "feature-extraction": "DistilBertModel",
}
ADVICE = "choose another --task, or mend config.json"
TASK = click.option(
    "--task", type=click.Choice([*CLASSES]), help="Which head.  [default: what the config says]"
)


def class_of(model: str, task: str | None = None) -> Any:
    """The class for a task, or the first that a config names; None where it names none of ours."""
    import minidistil
    from minidistil.config import DistilBertConfig

    said = DistilBertConfig.from_pretrained(model).architectures or []
    # TensorFlow's and Flax's classes have the same names behind a prefix.
    said = [re.sub("^(TF|Flax)", "", name) for name in said]
    names = [CLASSES[task]] if task else [name for name in said if name in CLASSES.values()]
    return getattr(minidistil, names[0]) if names else None
