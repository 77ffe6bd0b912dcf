"""Extractive question answering: where in the context does the answer start and end?

A linear layer gives every token two scores. Its loss is the mean of two cross-entropies over the
positions of a sequence: one for the start, one for the end. The twin of
`minidistil/heads/question_answering.py`.

Source: Devlin et al. 2018, section 4.2.
"""

from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.heads import DistilBertForQuestionAnswering
from minidistil.heads.base import IGNORE_INDEX
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.checks import check_ids, check_range, fits
from minidistil.ports.tensorflow.heads.base import TFDistilBertHead, cross_entropy
from minidistil.ports.tensorflow.layers import linear
from minidistil.ports.tensorflow.outputs import AnswerOutput


@keras.saving.register_keras_serializable(package="minidistil")
class TFDistilBertForQuestionAnswering(TFDistilBertHead):
    """DistilBERT with a span head.

    Raises:
        ValueError: The config has another number of labels than two, start and end.
    """

    torch_class = DistilBertForQuestionAnswering
    answers = ("start_logits", "end_logits")

    def __init__(
        self, config: DistilBertConfig, *, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(config, dtype=dtype, name=name)
        if config.num_labels != 2:
            raise ValueError(f"config.num_labels must be 2 (start, end), not {config.num_labels}")
        self.qa_outputs = linear(config, 2, self.dtype_policy, "qa_outputs")
        self.dropout = keras.layers.Dropout(config.qa_dropout, dtype=self.dtype_policy)
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of the head; the encoder has made its own."""
        self.qa_outputs.build((None, None, self.config.dim))

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        head_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> AnswerOutput | tuple:
        """Score spans. All but the positions as in `TFDistilBertModel.call`.

        Args:
            start_positions: int32 or int64 (B,), the first token of each answer, counted in its
                sequence. One at or past the end of it is ignored: the answer was truncated away.
            end_positions: (B,), the last token, likewise. Both or neither.

        Returns:
            `start_logits` and `end_logits`, (B, S), and `loss` where positions are given.

        Raises:
            ValueError: Also for a position of another dtype, a negative one, or one kind of
                position without the other.
        """
        encoded = self.distilbert(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            head_mask=head_mask,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        logits = self.qa_outputs(self.dropout(encoded.last_hidden_state))
        start_logits, end_logits = logits[..., 0], logits[..., 1]
        if (start_positions is None) != (end_positions is None):
            raise ValueError("give both start_positions and end_positions, or neither")
        loss = None
        if start_positions is not None:
            start_loss = _position_loss(start_logits, start_positions, "start_positions")
            end_loss = _position_loss(end_logits, end_positions, "end_positions")
            loss = (start_loss + end_loss) / 2
        output = AnswerOutput(
            loss=loss,
            start_logits=start_logits,
            end_logits=end_logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
        return self.returned(output, return_dict)


def _position_loss(logits: Tensor, positions: Tensor, name: str) -> Tensor:
    """Cross-entropy over the positions of each sequence: S classes, of which one is right."""
    check_ids(name, positions)
    positions = ops.reshape(positions, (-1,))
    check_range(name, positions, None, "count from 0; past the end means the answer is cut off")
    batch, length = ops.shape(logits)
    if not fits(tuple(positions.shape), (logits.shape[0],)):
        raise ValueError(f"{name} has {positions.shape[0]} entries for {batch} sequences")
    kept = positions < ops.cast(length, positions.dtype)
    # -1 is no position, but -100, which `check_range` cannot see in a graph, would be ignored.
    positions = ops.where(kept, ops.maximum(positions, -1), IGNORE_INDEX)
    return cross_entropy(logits, positions, name)
