"""A checkpoint whole, or not at all.

    class, name --from_pretrained--> model, no weight of it drawn at random

`from_pretrained` draws a head that a checkpoint lacks, for who is about to train it. Who wants
answers, or a file for others, must not get one.

Not here: what to do with tensors that have no place in the class, which is the caller's to say.
"""

from pathlib import Path
from typing import Any

from minidistil.pretrained import DistilBertPreTrainedModel


def load_trained(
    cls: type[DistilBertPreTrainedModel], name: str | Path, advice: str, **options: Any
) -> tuple[Any, dict[str, list[str]]]:
    """Load a checkpoint into a class of whose weights it lacks none.

    Args:
        cls: Of the model.
        name: Folder or hub id.
        advice: What to do where weights are missing, the end of the error.
        **options: As of `from_pretrained`.

    Returns:
        The model and its loading info, as `from_pretrained` gives them.

    Raises:
        ValueError: A weight is missing, or of another shape than is needed: a head of other shapes
            is another task's, and as good as none. And as `from_pretrained`.
        FileNotFoundError: As `from_pretrained`.
    """
    model, info = cls.from_pretrained(
        name, ignore_mismatched_sizes=True, output_loading_info=True, **options
    )
    untrained = info["missing_keys"] + info["mismatched_keys"]
    if untrained:
        raise ValueError(
            f"{str(name)!r} has no trained {', '.join(untrained)} of the shape that is needed: "
            f"{advice}"
        )
    return model, info
