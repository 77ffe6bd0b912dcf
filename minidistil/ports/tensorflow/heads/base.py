"""What all heads share: the encoder below them, their loss in `fit`, and cross-entropy.

The twin of `minidistil/heads/base.py`.
"""

from collections.abc import Mapping
from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.heads.base import IGNORE_INDEX
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.checks import check_range, check_tensors, fits
from minidistil.ports.tensorflow.model import TFDistilBertModel
from minidistil.ports.tensorflow.outputs import AnswerOutput, HeadOutput
from minidistil.ports.tensorflow.pretrained import TFDistilBertPreTrainedModel

LABELS = ("labels", "start_positions", "end_positions")


class TFDistilBertHead(TFDistilBertPreTrainedModel):
    """Abstract: an encoder, `distilbert`, and on top of it what the subclass adds.

    In `fit` and `evaluate`, inputs that hold their labels are learned from by the model's own loss:
    `compile(optimizer)`, without a loss. Labels beside the inputs, the `y` of Keras, need the loss
    and metrics of `compile`, which are then given the logits.
    """

    def __init__(
        self, config: DistilBertConfig, *, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(config, dtype=dtype, name=name)
        self.distilbert = TFDistilBertModel(config, dtype=self.dtype_policy, name="distilbert")

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
            ValueError: Labels neither in the inputs nor beside them, or no loss for the latter.
        """
        if y is not None:
            return super().compute_loss(x, y, _logits(y_pred), sample_weight, training)
        loss = y_pred[0]
        if len(loss.shape) > 0:
            raise ValueError(
                f"the inputs hold no labels ({', '.join(LABELS)}) and there are none beside them: "
                "there is nothing to compute a loss of"
            )
        return loss + sum(self.losses)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The metrics of one batch in `fit` and `evaluate`; Keras calls it.

        Raises:
            ValueError: `compile` has metrics, but there are no labels beside the inputs. Those in
                them may be -100, which most metrics would count as an error of the model.
        """
        if y is None and self._compile_metrics is not None:
            raise ValueError(
                "the metrics of compile need labels beside the inputs: fit(inputs, labels), with a "
                "loss in compile"
            )
        return super().compute_metrics(x, y, _logits(y_pred), sample_weight)

    def predict_step(self, data: Any) -> Any:
        """The logits of one batch in `predict`, which has no use for labels; Keras calls it."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, Mapping):
            x = {name: value for name, value in x.items() if name not in LABELS}
        return self(x, training=False)


def _logits(output: Any) -> Any:
    """What the losses and metrics of `compile` compare with `y`; of a tuple, all of it."""
    if isinstance(output, AnswerOutput):
        return {name: output[name] for name in ("start_logits", "end_logits")}
    return output.logits if isinstance(output, HeadOutput) else output


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
