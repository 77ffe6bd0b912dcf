"""What all heads share: the encoder below them, their loss in `fit`, and cross-entropy.

The twin of `minidistil/heads/base.py`.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras

from minidistil.config import DistilBertConfig
from minidistil.heads.base import IGNORE_INDEX
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.checks import check_range, check_tensors, fits
from minidistil.ports.tensorflow.model import TFDistilBertModel
from minidistil.ports.tensorflow.pretrained import TFDistilBertPreTrainedModel

LABELS = ("labels", "start_positions", "end_positions")


def _need_labels_beside(*given: Any) -> None:
    """Refuse what the model's own loss, of labels in the inputs, would ignore."""
    if any(value is not None for value in given):
        raise ValueError(
            "the loss and metrics of compile, sample_weight and class_weight need labels beside "
            "the inputs: fit(inputs, labels), with a loss in compile"
        )


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """`fit` or `evaluate` of Keras, which drop weights where no labels are beside the inputs."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def checked(*args: Any, **options: Any) -> Any:
        given = signature.bind(*args, **options).arguments
        if given.get("y") is None and isinstance(given.get("x"), Mapping):
            _need_labels_beside(given.get("sample_weight"), given.get("class_weight"))
        return method(*args, **options)

    return checked


class TFDistilBertHead(TFDistilBertPreTrainedModel):
    """Abstract: an encoder, `distilbert`, and on top of it what the subclass adds.

    In `fit` and `evaluate`, inputs that hold their labels are learned from by the model's own loss:
    `compile(optimizer)`, without a loss. Labels beside the inputs, the `y` of Keras, need the loss
    of `compile`, which is then given the logits. Only they can have metrics and weights.

    Attributes:
        answers: The names of what is compared with labels, in the order of the output.
    """

    answers: ClassVar[tuple[str, ...]] = ("logits",)

    def __init__(
        self, config: DistilBertConfig, *, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(config, dtype=dtype, name=name)
        self.distilbert = TFDistilBertModel(config, dtype=self.dtype_policy, name="distilbert")

    fit = _checked(keras.Model.fit)
    evaluate = _checked(keras.Model.evaluate)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of one batch in `fit` and `evaluate`; Keras calls it.

        Raises:
            ValueError: Labels neither in the inputs nor beside them, or no loss for the latter; a
                loss, metrics or weights for the former, which the model's own loss would ignore.
        """
        if y is not None:
            return super().compute_loss(x, y, self._answers(y_pred), sample_weight, training)
        _need_labels_beside(self._compile_loss, self._compile_metrics, sample_weight)
        loss = y_pred[0]
        if len(loss.shape) > 0:
            raise ValueError(
                f"the inputs hold no labels ({', '.join(LABELS)}) and there are none beside them: "
                "there is nothing to compute a loss of"
            )
        return loss + sum(self.losses)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The metrics of one batch in `fit` and `evaluate`; Keras calls it."""
        return super().compute_metrics(x, y, self._answers(y_pred), sample_weight)

    def predict_step(self, data: Any) -> Any:
        """The logits of one batch in `predict`, which has no use for labels; Keras calls it."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, Mapping):
            x = {name: value for name, value in x.items() if name not in LABELS}
        return self(x, training=False)

    def _answers(self, output: Any) -> Any:
        """What the losses and metrics of `compile` compare with `y`; of two, a dict or a tuple."""
        several = len(self.answers) > 1
        if isinstance(output, tuple):
            start = int(len(output[0].shape) == 0)  # the model's own loss, if it has one
            return output[start : start + 2] if several else output[start]
        return {name: output[name] for name in self.answers} if several else output.logits


def cross_entropy(logits: Tensor, labels: Tensor, name: str = "labels") -> Tensor:
    """Mean cross-entropy over the labels that are not ignored; 0 where all are.

    Args:
        logits: (..., classes).
        labels: (...), each below `classes` or equal to `IGNORE_INDEX`.
        name: What the labels are called in an error.

    Raises:
        TypeError: The labels are no tensor.
        ValueError: Shapes that do not fit, or a label of another dtype or out of range.
    """
    check_tensors(**{name: labels})
    shape, given = tuple(logits.shape), tuple(labels.shape)
    if not fits(given, shape[:-1]):
        raise ValueError(f"{name} has shape {given}, the logits {shape}: expected {shape[:-1]}")
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if not keras.backend.is_int_dtype(dtype):
        raise ValueError(f"{name} must be integers, one class each, not {dtype}")
    advice = f"{shape[-1]} classes, {IGNORE_INDEX} = ignored"
    check_range(name, labels, shape[-1], advice, IGNORE_INDEX)
    labels, logits = ops.cast(labels, "int64"), widened(logits)
    if shape[-1] == 0:
        return ops.sum(logits)  # 0, where TensorFlow refuses to choose among no classes
    kept = labels != IGNORE_INDEX
    # A class that exists for what is ignored, too; its loss then counts for nothing.
    losses = ops.sparse_categorical_crossentropy(
        ops.where(kept, labels, 0), logits, from_logits=True
    )
    return ops.sum(ops.where(kept, losses, 0.0)) / at_least_one(kept, logits.dtype)


def at_least_one(kept: Tensor, dtype: Any) -> Tensor:
    """How many labels count, or 1: a mean of nothing is then 0, with a zero gradient, not NaN."""
    return ops.maximum(ops.sum(ops.cast(kept, dtype)), 1.0)


def widened(logits: Tensor) -> Tensor:
    """Logits in at least float32: a sum of losses overflows float16 and is coarse in bfloat16."""
    return ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
