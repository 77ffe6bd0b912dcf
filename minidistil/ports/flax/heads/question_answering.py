"""Extractive question answering: where in the context does the answer start and end?

The twin of `minidistil/heads/question_answering.py`: two scores a token, and the mean of two
cross-entropies over the positions of a sequence.

Source: Devlin et al. 2018, section 4.2.
"""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from minidistil.config import DistilBertConfig
from minidistil.heads import DistilBertForQuestionAnswering
from minidistil.ports.flax.checks import as_array, check_ids, check_range
from minidistil.ports.flax.heads.base import IGNORE_INDEX, FlaxDistilBertHead, cross_entropy
from minidistil.ports.flax.layers import linear
from minidistil.ports.outputs import AnswerOutput


class FlaxDistilBertForQuestionAnswering(FlaxDistilBertHead):
    """DistilBERT with a span head.

    Raises:
        ValueError: The config has another number of labels than two, start and end.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, hidden_dim=64)
        >>> model = FlaxDistilBertForQuestionAnswering(config, rngs=nnx.Rngs(0))
        >>> out = model(jnp.array([[1, 7, 2, 5, 6, 2]]))
        >>> out.start_logits.shape, out.end_logits.shape
        ((1, 6), (1, 6))
    """

    torch_class = DistilBertForQuestionAnswering

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs=rngs)
        if config.num_labels != 2:
            raise ValueError(f"config.num_labels must be 2 (start, end), not {config.num_labels}")
        self.qa_outputs = linear(config, config.dim, config.num_labels, rngs)
        self.dropout = nnx.Dropout(config.qa_dropout, rngs=rngs)

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        inputs_embeds: Any = None,
        start_positions: Any = None,
        end_positions: Any = None,
        position_ids: Any = None,
        *,
        head_mask: Any = None,
        token_type_ids: Any = None,
        train: bool = False,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Score spans. All but the positions as in `FlaxDistilBertModel`.

        Args:
            start_positions: int32 or int64 (B,), the first token of each answer. One at or past
                the end of the sequence is ignored: the answer was truncated away.
            end_positions: (B,), the last token, likewise. Both or neither.

        Returns:
            An `AnswerOutput`: `start_logits` and `end_logits`, (B, S), and `loss` where positions
            are given.

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
            train=train,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        hidden = self.dropout(encoded.last_hidden_state, deterministic=not train)
        start_logits, end_logits = jnp.unstack(self.qa_outputs(hidden), axis=-1)
        if (start_positions is None) != (end_positions is None):
            raise ValueError("give both start_positions and end_positions, or neither")
        loss = None
        if start_positions is not None:
            start_loss = _position_loss(start_logits, start_positions, "start_positions")
            end_loss = _position_loss(end_logits, end_positions, "end_positions")
            loss = (start_loss + end_loss) / 2
        output = AnswerOutput(
            loss, start_logits, end_logits, encoded.hidden_states, encoded.attentions
        )
        return self.returned(output, return_dict)


def _position_loss(logits: Array, positions: Any, name: str) -> Array:
    """Cross-entropy over the positions of each sequence: S classes, of which one is right."""
    positions = as_array(name, positions)
    positions = positions.reshape(-1)
    check_ids(name, positions)
    check_range(name, positions, None, "count from 0; past the end means the answer is cut off")
    if len(positions) != len(logits):
        raise ValueError(f"{name} has {len(positions)} entries for {len(logits)} sequences")
    cut_off = positions >= logits.shape[1]
    # Compiled, -1 makes the loss NaN; -100 itself would be ignored.
    positions = jnp.maximum(positions, -1)
    return cross_entropy(logits, jnp.where(cut_off, IGNORE_INDEX, positions), name)
