"""The transformer: L blocks, each attention then feed-forward, each with residual and LayerNorm.

The trunk of the way of the data. Post-LN, as in BERT: the LayerNorm comes after the residual sum.

    hidden = LayerNorm(hidden + attention(hidden))
    hidden = LayerNorm(hidden + feed_forward(hidden))

Source: Vaswani et al. 2017, section 3.1; Sanh et al. 2019, section 3 (half of BERT's blocks).
"""

from functools import partial

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minidistil.attention import MultiHeadSelfAttention
from minidistil.config import DistilBertConfig
from minidistil.embeddings import LAYER_NORM_EPS
from minidistil.feed_forward import FeedForward
from minidistil.ops import TORCH, AttentionImpl, LayerOps


class TransformerBlock(nn.Module):
    """Attention and a feed-forward network, each in a residual with a LayerNorm after it."""

    def __init__(self, config: DistilBertConfig, layer: int) -> None:
        super().__init__()
        self.attention = MultiHeadSelfAttention(config, config.pruned_heads.get(layer, []))
        self.sa_layer_norm = nn.LayerNorm(config.dim, eps=LAYER_NORM_EPS)
        self.ffn = FeedForward(config)
        self.output_layer_norm = nn.LayerNorm(config.dim, eps=LAYER_NORM_EPS)

    def forward(
        self,
        hidden: Float[Tensor, "*B D"],
        attend: AttentionImpl,
        mask: Shaped[Tensor, "..."] | None = None,
        head_mask: Shaped[Tensor, " H"] | None = None,
        cu_seqlens: Int[Tensor, " ends"] | None = None,
        max_seqlen: int = 0,
        need_weights: bool = False,
        ops: LayerOps = TORCH,
    ) -> tuple[Float[Tensor, "*B D"], Float[Tensor, "..."] | None]:
        """Transform hidden states; arguments and errors as in `MultiHeadSelfAttention`."""
        attended, weights = self.attention(
            hidden, attend, mask, head_mask, cu_seqlens, max_seqlen, need_weights
        )
        # The same name: the old tensor is freed before the feed-forward network needs its room.
        attended = ops.add_layer_norm(attended, hidden, self.sa_layer_norm)
        hidden = ops.add_layer_norm(self.ffn(attended, ops), attended, self.output_layer_norm)
        return hidden, weights


class Transformer(nn.Module):
    """The stack of blocks.

    Attributes:
        layer: The blocks, in order.
        gradient_checkpointing: Recompute each block's activations in the backward pass.
    """

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(TransformerBlock(config, i) for i in range(config.n_layers))
        self.gradient_checkpointing = False

    def forward(
        self,
        hidden: Float[Tensor, "*B D"],
        attend: AttentionImpl,
        mask: Shaped[Tensor, "..."] | None,
        head_masks: list[Tensor | None],
        cu_seqlens: Int[Tensor, " ends"] | None,
        max_seqlen: int,
        output_hidden_states: bool,
        output_attentions: bool,
        ops: LayerOps = TORCH,
    ) -> tuple[Float[Tensor, "*B D"], list[Tensor], list[Tensor]]:
        """Run the blocks.

        Args:
            hidden: The embeddings, (B, S, D) or (N, D).
            attend: The attention implementation of every block.
            mask: As the contract of `ops/contract.py` has it.
            head_masks: One (H,) tensor or None a block.
            cu_seqlens: Boundaries of a packed batch.
            max_seqlen: Its longest sequence.
            output_hidden_states: Collect the embeddings and what each block returns.
            output_attentions: Collect the attention weights.
            ops: How the layers between the matrix products are computed.

        Returns:
            The last hidden states, the L + 1 collected ones or [], the L weights or [].
        """
        states, attentions = [hidden] if output_hidden_states else [], []
        for block, head_mask in zip(self.layer, head_masks, strict=True):
            run = block
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                run = partial(checkpoint, block, use_reentrant=False)
            hidden, weights = run(
                hidden, attend, mask, head_mask, cu_seqlens, max_seqlen, output_attentions, ops
            )
            if output_hidden_states:
                states.append(hidden)
            if output_attentions:
                attentions.append(weights)
        return hidden, states, attentions
