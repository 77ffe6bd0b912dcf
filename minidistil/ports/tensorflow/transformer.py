"""The transformer: L blocks, each attention then feed-forward, each with residual and LayerNorm.

The twin of `minidistil/transformer.py`. Post-LN: the LayerNorm comes after the residual sum.

    hidden = LayerNorm(hidden + attention(hidden))
    hidden = LayerNorm(hidden + feed_forward(hidden))

Source: Vaswani et al. 2017, section 3.1; Sanh et al. 2019, section 3 (half of BERT's blocks).
Not here: gradient checkpointing.
"""

from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.ports.tensorflow.attention import MultiHeadSelfAttention
from minidistil.ports.tensorflow.backend import Tensor
from minidistil.ports.tensorflow.feed_forward import FeedForward
from minidistil.ports.tensorflow.layers import layer_norm


class TransformerBlock(keras.layers.Layer):
    """Attention and a feed-forward network, each in a residual with a LayerNorm after it."""

    def __init__(
        self, config: DistilBertConfig, layer: int, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        dtype, pruned = self.dtype_policy, config.pruned_heads.get(layer, [])
        self.attention = MultiHeadSelfAttention(config, pruned, dtype, "attention")
        self.sa_layer_norm = layer_norm(dtype, "sa_layer_norm")
        self.ffn = FeedForward(config, dtype, "ffn")
        self.output_layer_norm = layer_norm(dtype, "output_layer_norm")

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        for layer in (self.attention, self.sa_layer_norm, self.ffn, self.output_layer_norm):
            layer.build(input_shape)

    def call(
        self,
        hidden: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Transform hidden states; arguments as in `MultiHeadSelfAttention`."""
        attended, weights = self.attention(
            hidden, attention_mask=attention_mask, head_mask=head_mask
        )
        attended = self.sa_layer_norm(attended + hidden)
        return self.output_layer_norm(self.ffn(attended) + attended), weights


class Transformer(keras.layers.Layer):
    """The stack of blocks.

    Attributes:
        layer: The blocks, in order.
    """

    def __init__(
        self, config: DistilBertConfig, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.layer = [
            TransformerBlock(config, i, self.dtype_policy, f"layer_{i}")
            for i in range(config.n_layers)
        ]

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        for block in self.layer:
            block.build(input_shape)

    def call(
        self,
        hidden: Tensor,
        attention_mask: Tensor | None,
        head_masks: list[Tensor | None],
        *,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Run the blocks.

        Args:
            hidden: The embeddings (B, S, D).
            attention_mask: Broadcastable to (B, H, S, S): boolean, or added to the scores.
            head_masks: One (H,) tensor or None a block.
            output_hidden_states: Collect the embeddings and what each block returns.
            output_attentions: Collect the attention weights.

        Returns:
            The last hidden states, the L + 1 collected ones or [], the L weights or [].
        """
        states, attentions = [hidden] if output_hidden_states else [], []
        for block, head_mask in zip(self.layer, head_masks, strict=True):
            hidden, weights = block(hidden, attention_mask=attention_mask, head_mask=head_mask)
            if output_hidden_states:
                states.append(hidden)
            if output_attentions:
                attentions.append(weights)
        return hidden, states, attentions
