"""Feed-forward network: each position alone, D -> F -> D. lin1 -> activation -> lin2 -> dropout.

The second half of a block, and two thirds of its parameters.

Source: Vaswani et al. 2017, equation 2, with GELU (Hendrycks and Gimpel 2016) for ReLU.
"""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from minidistil.config import DistilBertConfig
from minidistil.ops import TORCH, LayerOps

gelu_tanh = partial(F.gelu, approximate="tanh")
ACTIVATIONS = {
    "gelu": F.gelu,  # exact: x * Phi(x), with the error function
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
}


class FeedForward(nn.Module):
    """Two linear layers with an activation between."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.lin1 = nn.Linear(config.dim, config.hidden_dim)
        self.lin2 = nn.Linear(config.hidden_dim, config.dim)
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = nn.Dropout(config.dropout)
        self.chunk_size = config.chunk_size_feed_forward

    def forward(
        self, hidden: Float[Tensor, "*B D"], ops: LayerOps = TORCH
    ) -> Float[Tensor, "*B D"]:
        """Apply the network to every position.

        With `chunk_size_feed_forward` = c, c positions at a time: the same numbers from
        S/c steps that each hold a c/S part of the (B, S, F) intermediate.
        """
        if self.chunk_size == 0:
            return self._chunk(hidden, ops)
        # Dimension -2 is the sequence, padded or packed.
        chunks = hidden.split(self.chunk_size, dim=-2)
        return torch.cat([self._chunk(chunk, ops) for chunk in chunks], dim=-2)

    def _chunk(self, hidden: Float[Tensor, "*B D"], ops: LayerOps) -> Float[Tensor, "*B D"]:
        inner = ops.linear_activation(hidden, self.lin1, self.activation)
        return self.dropout(self.lin2(inner))
