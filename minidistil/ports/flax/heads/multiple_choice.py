"""Multiple choice: which of C texts fits best? Each is scored alone; softmax runs over the choices.

The twin of `minidistil/heads/multiple_choice.py`: a sequence classifier with one output, on B * C
sequences at once.

Source: Devlin et al. 2018, section 4.4.
"""

from typing import Any

from flax import nnx
from jax import Array

from minidistil.config import DistilBertConfig
from minidistil.heads import DistilBertForMultipleChoice
from minidistil.packing import first_tokens
from minidistil.ports.flax.checks import as_array
from minidistil.ports.flax.heads.base import FlaxDistilBertHead, cross_entropy
from minidistil.ports.flax.layers import linear
from minidistil.ports.outputs import HeadOutput


class FlaxDistilBertForMultipleChoice(FlaxDistilBertHead):
    """DistilBERT with a score for each choice.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, hidden_dim=64)
        >>> model = FlaxDistilBertForMultipleChoice(config, rngs=nnx.Rngs(0))
        >>> choices = jnp.array([[[1, 7, 2, 5, 2], [1, 7, 2, 6, 2]]])  # (B, C, S)
        >>> model(choices).logits.shape
        (1, 2)
    """

    torch_class = DistilBertForMultipleChoice

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs=rngs)
        self.pre_classifier = linear(config, config.dim, config.dim, rngs)
        self.classifier = linear(config, config.dim, 1, rngs)
        self.dropout = nnx.Dropout(config.seq_classif_dropout, rngs=rngs)

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        position_ids: Any = None,
        *,
        head_mask: Any = None,
        token_type_ids: Any = None,
        train: bool = False,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Score choices. Every input has a dimension of choices.

        Args:
            input_ids: (B, C, S).
            attention_mask: (B, C, S).
            inputs_embeds: (B, C, S, D).
            labels: (B,), the right choice; -100 is ignored.
            position_ids: (B, C, S), or broadcastable to (B * C, S).
            head_mask: (H,) or (L, H), a factor for each head's context.
            token_type_ids: Accepted and ignored.
            train: Whether dropout is on.
            output_hidden_states: Return those of the B * C sequences.
            output_attentions: Return those of the B * C sequences.
            return_dict: False returns a tuple; where None, the config decides.

        Returns:
            A `HeadOutput`: `logits` (B, C), and `loss`, the mean over the labels, where given.

        Raises:
            ValueError: Also for inputs without choices, or labels out of range.
        """
        ids, embeds = as_array("input_ids", input_ids), as_array("inputs_embeds", inputs_embeds)
        given = ids if embeds is None else embeds[..., 0]
        if given is None or given.ndim != 3:
            raise ValueError(
                "multiple choice takes input_ids (batch, choices, length) or inputs_embeds "
                f"(batch, choices, length, dim), not {None if given is None else given.shape}"
            )
        shape = given.shape
        encoded = self.distilbert(
            _flat("input_ids", ids, shape),
            _flat("attention_mask", as_array("attention_mask", attention_mask), shape),
            None if embeds is None else embeds.reshape(shape[0] * shape[1], *embeds.shape[2:]),
            _flat("position_ids", as_array("position_ids", position_ids), shape),
            head_mask=head_mask,
            train=train,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        pooled = nnx.relu(self.pre_classifier(first_tokens(encoded.last_hidden_state, None)))
        logits = self.classifier(self.dropout(pooled, deterministic=not train))
        logits = logits.reshape(shape[:2])
        loss = None if labels is None else cross_entropy(logits, labels)
        output = HeadOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.returned(output, return_dict)


def _flat(name: str, value: Array | None, shape: tuple[int, ...]) -> Array | None:
    """(B, C, S) -> (B * C, S); an array without the dimension of choices passes as it is."""
    if value is None or value.ndim != len(shape):
        return value
    if value.shape != shape:
        raise ValueError(f"{name} has shape {value.shape}, the input {shape}")
    # Not -1, which JAX cannot work out of an array without elements.
    return value.reshape(shape[0] * shape[1], shape[2])
