"""The transformer: L blocks, each attention then feed-forward, each with residual and LayerNorm.

The twin of `minidistil/transformer.py`. Post-LN: the LayerNorm comes after the residual sum.

    hidden = LayerNorm(hidden + attention(hidden))
    hidden = LayerNorm(hidden + feed_forward(hidden))

Source: Vaswani et al. 2017, section 3.1; Sanh et al. 2019, section 3 (half of BERT's blocks).
Not here: gradient checkpointing.
"""

from flax import nnx
from jaxtyping import Array, Float, Shaped

from minidistil.config import DistilBertConfig
from minidistil.ports.flax.attention import MultiHeadSelfAttention
from minidistil.ports.flax.feed_forward import FeedForward
from minidistil.ports.flax.layers import layer_norm


class TransformerBlock(nnx.Module):
    """Attention and a feed-forward network, each in a residual with a LayerNorm after it."""

    def __init__(self, config: DistilBertConfig, layer: int, *, rngs: nnx.Rngs) -> None:
        pruned = config.pruned_heads.get(layer, [])
        self.attention = MultiHeadSelfAttention(config, pruned, rngs=rngs)
        self.sa_layer_norm = layer_norm(config, rngs)
        self.ffn = FeedForward(config, rngs=rngs)
        self.output_layer_norm = layer_norm(config, rngs)

    def __call__(
        self,
        hidden: Float[Array, "B S D"],
        mask: Shaped[Array, "..."] | None = None,
        head_mask: Shaped[Array, " heads"] | None = None,
        train: bool = False,
    ) -> tuple[Float[Array, "B S D"], Float[Array, "B H S S"]]:
        """Transform hidden states; arguments as in `MultiHeadSelfAttention`."""
        attended, weights = self.attention(hidden, mask, head_mask, train)
        attended = self.sa_layer_norm(attended + hidden)
        return self.output_layer_norm(self.ffn(attended, train) + attended), weights


class Transformer(nnx.Module):
    """The stack of blocks.

    Attributes:
        layer: The blocks, in order.
    """

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        self.layer = nnx.List(
            TransformerBlock(config, i, rngs=rngs) for i in range(config.n_layers)
        )

    def __call__(
        self,
        hidden: Float[Array, "B S D"],
        mask: Shaped[Array, "..."] | None,
        head_masks: list[Array | None],
        train: bool,
        output_hidden_states: bool,
        output_attentions: bool,
    ) -> tuple[Float[Array, "B S D"], list[Array], list[Array]]:
        """Run the blocks.

        Args:
            hidden: The embeddings.
            mask: Broadcastable to (B, H, S, S): boolean, or added to the scores.
            head_masks: One (H,) array or None a block.
            train: Whether dropout is on.
            output_hidden_states: Collect the embeddings and what each block returns.
            output_attentions: Collect the attention weights.

        Returns:
            The last hidden states, the L + 1 collected ones or [], the L weights or [].
        """
        states, attentions = [hidden] if output_hidden_states else [], []
        for block, head_mask in zip(self.layer, head_masks, strict=True):
            hidden, weights = block(hidden, mask, head_mask, train)
            if output_hidden_states:
                states.append(hidden)
            if output_attentions:
                attentions.append(weights)
        return hidden, states, attentions
