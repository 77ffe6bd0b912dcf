"""A student from its teacher: some of the teacher's layers, and all that is around them.

    teacher of L layers --make_student(layers)--> student of len(layers) layers, otherwise the same

The embeddings, the chosen blocks and the head are copied, number by number. DistilBERT took every
other layer of BERT; that it starts where its teacher is matters more than any loss (-3.69 points on
GLUE when drawn at random).

Source: Sanh et al. 2019, arXiv 1910.01108, section 3 and table 4.
Not here: BERT to DistilBERT (`minidistil.checkpoints.convert_bert`), and training.
"""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from minidistil.pretrained import DistilBertPreTrainedModel

Model = TypeVar("Model", bound=DistilBertPreTrainedModel)

# Which layers DistilBERT has of BERT's twelve.
DISTILBERT_LAYERS = (0, 2, 4, 7, 9, 11)


def make_student(teacher: Model, layers: Sequence[int] = DISTILBERT_LAYERS) -> Model:
    """Build a student of the teacher's class from some of its layers.

    Args:
        teacher: Any model; it stays as it is.
        layers: Which of the teacher's layers the student has, in this order, counted from 0; one
            may stand there twice.

    Returns:
        The student, in train mode, on the teacher's device and in its dtype.

    Raises:
        ValueError: No layer, or one that the teacher does not have.

    Examples:
        >>> from minidistil import DistilBertConfig, DistilBertModel
        >>> config = DistilBertConfig(vocab_size=100, n_layers=6, n_heads=2, dim=32, hidden_dim=64)
        >>> student = make_student(DistilBertModel(config), layers=(0, 3, 5))
        >>> student.config.n_layers
        3
    """
    depth = teacher.config.n_layers
    for layer in layers:
        if not 0 <= layer < depth:
            raise ValueError(f"layer {layer} of a teacher that has layers 0 to {depth - 1}")
    if not layers:
        raise ValueError(f"a student needs at least one of the teacher's {depth} layers")
    pruned = teacher.config.pruned_heads
    config = dataclasses.replace(
        teacher.config,
        n_layers=len(layers),
        pruned_heads={new: pruned[old] for new, old in enumerate(layers) if old in pruned},
    )
    student = type(teacher)(config).to(teacher.device, teacher.dtype)
    prefix = "transformer.layer." if teacher.encoder is teacher else "distilbert.transformer.layer."
    weights = {k: v for k, v in teacher.state_dict().items() if not k.startswith(prefix)}
    for new, old in enumerate(layers):
        block = teacher.encoder.transformer.layer[old].state_dict(prefix=f"{prefix}{new}.")
        weights |= block
    student.load_state_dict(weights)
    return student.train()
