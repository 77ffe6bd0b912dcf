"""Multi-head self-attention: project, split heads, attend, merge, project.

The twin of `minidistil/attention.py`, with the attention itself written out below it.

Source: Vaswani et al. 2017, section 3.2.2; `attend` is its equation 1.
Not here: packed batches (`cu_seqlens`) and other implementations of attention.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Shaped

from minidistil.config import DistilBertConfig
from minidistil.ports.flax.layers import linear


class MultiHeadSelfAttention(nnx.Module):
    """Self-attention with H heads of width K = D / H."""

    def __init__(self, config: DistilBertConfig, pruned: list[int], *, rngs: nnx.Rngs) -> None:
        self.head_width = config.dim // config.n_heads
        # The heads that are left, by the numbers they had before pruning.
        self.heads = tuple(head for head in range(config.n_heads) if head not in pruned)
        inner = len(self.heads) * self.head_width
        self.q_lin = linear(config, config.dim, inner, rngs)
        self.k_lin = linear(config, config.dim, inner, rngs)
        self.v_lin = linear(config, config.dim, inner, rngs)
        self.out_lin = linear(config, inner, config.dim, rngs)
        self.dropout = nnx.Dropout(config.attention_dropout, rngs=rngs)

    def __call__(
        self,
        hidden: Float[Array, "B S D"],
        mask: Shaped[Array, "..."] | None = None,
        head_mask: Shaped[Array, " heads"] | None = None,
        train: bool = False,
    ) -> tuple[Float[Array, "B S D"], Float[Array, "B H S S"]]:
        """Attend from every token to every token of its sequence.

        Args:
            hidden: (B, S, D).
            mask: Broadcastable to (B, H, S, S): boolean, or added to the scores.
            head_mask: A factor for each head's context, numbered as before pruning.
            train: Whether dropout is on.

        Returns:
            The new hidden states and the weights.
        """
        # (B, S, D) -> (B, S, H, K)
        heads = (*hidden.shape[:2], len(self.heads), self.head_width)
        query, key, value = (
            lin(hidden).reshape(heads) for lin in (self.q_lin, self.k_lin, self.v_lin)
        )
        left = np.array(self.heads)
        if mask is not None and mask.shape[1] > len(left):
            mask = mask[:, left]
        weights = attention_weights(query, key, mask)
        weights = self.dropout(weights, deterministic=not train)
        if head_mask is not None:
            weights = weights * head_mask[left].astype(weights.dtype)[:, None, None]
        context = jnp.einsum("bhqk,bkhd->bqhd", weights, value)
        return self.out_lin(context.reshape(*hidden.shape[:2], self.q_lin.out_features)), weights


def attention_weights(
    query: Float[Array, "B S H K"],
    key: Float[Array, "B S H K"],
    mask: Shaped[Array, "#B #H #S #S"] | None = None,
) -> Float[Array, "B H S S"]:
    """softmax(Q K^T / sqrt(K) + mask), in float32 or wider; zero in a row without a key."""
    wide = jnp.promote_types(query.dtype, jnp.float32)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=wide)
    scores = scores * query.shape[-1] ** -0.5
    if mask is None:
        return jax.nn.softmax(scores).astype(query.dtype)
    if mask.dtype != jnp.bool:
        mask = mask.astype(wide)
        scores = scores + mask
        mask = mask > -jnp.inf
    # Not -inf: the softmax of nothing but -inf is NaN, at which jax.debug_nans would stop.
    weights = jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(wide).min))
    # Already 0 in every row that may attend anywhere; a fully masked row becomes zero here.
    return jnp.where(mask, weights, 0).astype(query.dtype)
