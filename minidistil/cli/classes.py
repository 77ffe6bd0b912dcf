"""Which class a checkpoint is of: what its config says, or what a task needs.

    config, --task --class_of--> class --load_whole--> model, no weight of it drawn at random

Not here: the verbs (`checkpoints.py`, `explain.py`, `export.py`).
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


def load_whole(cls: Any, model: str, **options: Any) -> tuple[Any, list[str]]:
    """A checkpoint in a class whose weights it has all, and the tensors without a place in it.

    Raises:
        ValueError: A weight is missing, or of another shape than the config says.
    """
    loaded, info = cls.from_pretrained(
        model, ignore_mismatched_sizes=True, output_loading_info=True, **options
    )
    untrained = info["missing_keys"] + info["mismatched_keys"]
    if untrained:
        raise ValueError(
            f"{model!r} has no trained {', '.join(untrained)} of the shape that its config says: "
            "choose another --task, or mend config.json"
        )
    return loaded, info["unexpected_keys"]
