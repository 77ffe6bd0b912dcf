"""The typed results of `ports/outputs.py`, known to Keras and to TensorFlow.

`optree` is what Keras looks through nested values with (`keras.tree`, in `fit` and `predict`).
TensorFlow (`tf.nest`, and what a `tf.function` returns) takes them for the mappings that they are,
which it rebuilds from pairs of names and values.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import optree

from minidistil.ports import outputs


class _DictLike:
    """Built as a dict is: from a mapping, from pairs or from keywords."""

    __supported_by_tf_nest__ = True  # spares users TensorFlow's warning of mappings of other kinds

    def __init__(self, *given: Mapping[str, Any] | Iterable[Any], **fields: Any) -> None:
        super().__init__(**dict(*given, **fields))


class EncoderOutput(_DictLike, outputs.EncoderOutput):
    """Result of a model without a head."""


class HeadOutput(_DictLike, outputs.HeadOutput):
    """Result of a head with one answer: its logits, and the loss where labels are given."""


class AnswerOutput(_DictLike, outputs.AnswerOutput):
    """Result of question answering: logits of where an answer starts and ends."""


def _flatten(output: Any) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    names = tuple(output)
    return output.to_tuple(), names, names


def _register(cls: Any) -> None:
    def unflatten(names: Any, values: Any) -> Any:
        return cls(zip(names, values, strict=True))

    optree.register_pytree_node(cls, _flatten, unflatten, namespace="keras")


for _cls in (EncoderOutput, HeadOutput, AnswerOutput):
    _register(_cls)
