"""Multi-head self-attention: project, split heads, attend, merge, project.

The first half of a block. What happens between query, key and value is chosen by the caller: an
`ops.AttentionImpl`, from the specification in PyTorch to a kernel of yours.

Source: Vaswani et al. 2017, section 3.2.2.
Not here: the softmax (`ops/attention.py`), the residual and its LayerNorm (`transformer.py`).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from minidistil.config import DistilBertConfig
from minidistil.ops.contract import AttentionImpl


class MultiHeadSelfAttention(nn.Module):
    """Self-attention with H heads of width K = D / H."""

    def __init__(self, config: DistilBertConfig, pruned: list[int]) -> None:
        super().__init__()
        self.head_width = config.dim // config.n_heads
        # The heads that are left, by the numbers they had before pruning.
        self.heads = [head for head in range(config.n_heads) if head not in pruned]
        inner = len(self.heads) * self.head_width
        self.q_lin = nn.Linear(config.dim, inner)
        self.k_lin = nn.Linear(config.dim, inner)
        self.v_lin = nn.Linear(config.dim, inner)
        self.out_lin = nn.Linear(inner, config.dim)
        self.dropout_p = config.attention_dropout

    def forward(
        self,
        hidden: Float[Tensor, "*B D"],
        attend: AttentionImpl,
        mask: Shaped[Tensor, "..."] | None = None,
        head_mask: Shaped[Tensor, " H"] | None = None,
        cu_seqlens: Int[Tensor, " ends"] | None = None,
        max_seqlen: int = 0,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "*B D"], Float[Tensor, "..."] | None]:
        """Attend from every token to every token of its sequence.

        Args:
            hidden: (B, S, D), or (N, D) with `cu_seqlens`.
            attend: The implementation.
            mask: As the contract of `ops/contract.py` has it; padded batches only.
            head_mask: A factor for each head's context, numbered as before pruning.
            cu_seqlens: int32 (B+1,): where each sequence of a packed batch starts and ends.
            max_seqlen: The longest of them, or more.
            need_weights: Return the weights too.

        Returns:
            The new hidden states and the weights (B, H, S, S), or None.

        Raises:
            ValueError: The implementation has no packed form, no weights, or breaks its contract.
        """
        # (..., D) -> (..., H, K)
        heads = (-1, self.head_width)
        query, key, value = (
            lin(hidden).unflatten(-1, heads) for lin in (self.q_lin, self.k_lin, self.v_lin)
        )
        dropout_p = self.dropout_p if self.training else 0.0
        weights = None
        if cu_seqlens is None:
            # Heads stand before the sequence in a padded batch: (B, S, H, K) -> (B, H, S, K).
            query, key, value = (x.transpose(1, 2) for x in (query, key, value))
            if mask is not None and mask.shape[1] > len(self.heads):
                mask = mask[:, self.heads]
            if mask is not None and mask.is_floating_point():
                # Under autocast the query has another dtype than the caller's mask.
                mask = mask.to(query.dtype)
            context, weights = attend.on_padded(query, key, value, mask, dropout_p, need_weights)
            context = context.transpose(1, 2)
        else:
            if need_weights:
                raise ValueError("a packed batch (cu_seqlens) has no attention weights to return")
            context = attend.on_packed(query, key, value, cu_seqlens, max_seqlen, dropout_p)
        if head_mask is not None:
            # Scaling a head's context is scaling its weights: the sum over keys is linear.
            factor = head_mask[self.heads].to(context.dtype)
            context = context * factor[:, None]
            if weights is not None:
                weights = weights * factor[:, None, None]
        return self.out_lin(context.flatten(-2)), weights

    def prune_heads(self, heads: Sequence[int]) -> None:
        """Remove heads for good: rows of q, k and v, columns of out.

        Args:
            heads: Numbers as before any pruning; those already gone are passed over.
        """
        kept = [i for i, head in enumerate(self.heads) if head not in heads]
        index = torch.arange(len(self.heads) * self.head_width, device=self.q_lin.weight.device)
        index = index.unflatten(0, (-1, self.head_width))[kept].flatten()
        for lin in (self.q_lin, self.k_lin, self.v_lin):
            lin.weight = nn.Parameter(lin.weight.detach()[index], lin.weight.requires_grad)
            lin.bias = nn.Parameter(lin.bias.detach()[index], lin.bias.requires_grad)
            lin.out_features = len(index)
        out = self.out_lin.weight
        self.out_lin.weight = nn.Parameter(out.detach()[:, index], out.requires_grad)
        self.out_lin.in_features = len(index)
        self.heads = [self.heads[i] for i in kept]
