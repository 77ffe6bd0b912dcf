"""Multi-head self-attention: project, split heads, attend, merge, project.

The twin of `minidistil/attention.py`, with the attention itself written out below it.

Source: Vaswani et al. 2017, section 3.2.2; `attention_weights` is the softmax of its equation 1.
Not here: packed batches (`cu_seqlens`) and other implementations of attention.
"""

from typing import Any

import keras
import numpy as np

from minidistil.config import DistilBertConfig
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.layers import linear


class MultiHeadSelfAttention(keras.layers.Layer):
    """Self-attention with H heads of width K = D / H."""

    def __init__(
        self,
        config: DistilBertConfig,
        pruned: list[int],
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.head_width = config.dim // config.n_heads
        # The heads that are left, by the numbers they had before pruning.
        self.heads = [head for head in range(config.n_heads) if head not in pruned]
        self.inner, self.pruned = len(self.heads) * self.head_width, bool(pruned)
        dtype = self.dtype_policy
        self.q_lin = linear(config, self.inner, dtype, "q_lin")
        self.k_lin = linear(config, self.inner, dtype, "k_lin")
        self.v_lin = linear(config, self.inner, dtype, "v_lin")
        self.out_lin = linear(config, config.dim, dtype, "out_lin")
        self.dropout = keras.layers.Dropout(config.attention_dropout, dtype=dtype)

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        for lin in (self.q_lin, self.k_lin, self.v_lin):
            lin.build(input_shape)
        self.out_lin.build((*input_shape[:-1], self.inner))

    # No argument is called `mask`: Keras would fill it with a mask of its own, of two dimensions.
    def call(
        self,
        hidden: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Attend from every token to every token of its sequence.

        Args:
            hidden: (B, S, D).
            attention_mask: Broadcastable to (B, H, S, S): boolean, or added to the scores.
            head_mask: A factor for each head's context, numbered as before pruning.

        Returns:
            The new hidden states and the weights (B, H, S, S).
        """
        batch, length, _ = ops.shape(hidden)
        # (B, S, D) -> (B, S, H, K)
        heads = (batch, length, len(self.heads), self.head_width)
        query, key, value = (
            ops.reshape(lin(hidden), heads) for lin in (self.q_lin, self.k_lin, self.v_lin)
        )
        if attention_mask is not None and self.pruned and attention_mask.shape[1] != 1:
            attention_mask = ops.take(attention_mask, self.heads, axis=1)
        weights = self.dropout(attention_weights(query, key, attention_mask))
        if head_mask is not None:
            factor = ops.cast(ops.take(head_mask, self.heads), weights.dtype)
            weights = weights * factor[:, None, None]
        context = ops.einsum("bhqk,bkhd->bqhd", weights, value)
        return self.out_lin(ops.reshape(context, (batch, length, self.inner))), weights


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(K) + mask), in float32 or wider; zero in a row without a key.

    Args:
        query: (B, S, H, K).
        key: (B, S, H, K).
        mask: Broadcastable to (B, H, S, S): boolean, or added to the scores.
    """
    wide = keras.backend.result_type(query.dtype, "float32")
    scores = ops.einsum("bqhd,bkhd->bhqk", ops.cast(query, wide), ops.cast(key, wide))
    scores = scores * query.shape[-1] ** -0.5
    if mask is None:
        return ops.cast(ops.softmax(scores), query.dtype)
    if mask.dtype != "bool":
        mask = ops.cast(mask, wide)
        scores = scores + mask
        mask = ops.greater(mask, -float("inf"))
    # Not -inf: the softmax of nothing but -inf is NaN, if only until the next line.
    weights = ops.softmax(ops.where(mask, scores, float(np.finfo(wide).min)))
    # Already 0 in every row that may attend anywhere; a fully masked row becomes zero here.
    return ops.cast(ops.where(mask, weights, 0.0), query.dtype)
