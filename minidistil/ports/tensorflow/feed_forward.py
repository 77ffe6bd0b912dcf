"""Feed-forward network: each position alone, D -> F -> D. lin1 -> activation -> lin2 -> dropout.

The twin of `minidistil/feed_forward.py`.

Source: Vaswani et al. 2017, equation 2, with GELU (Hendrycks and Gimpel 2016) for ReLU.
Not here: `chunk_size_feed_forward`, which changes no number, only the memory for them.
"""

import math
from typing import Any

import keras

from minidistil.config import DistilBertConfig
from minidistil.ports.tensorflow.backend import Tensor, ops
from minidistil.ports.tensorflow.layers import linear


def gelu(x: Tensor) -> Tensor:
    """Exact: x * Phi(x), with the error function. Keras's own rounds sqrt(2) to float32."""
    return 0.5 * x * (1.0 + ops.erf(x * 0.5**0.5))


def gelu_tanh(x: Tensor) -> Tensor:
    """The approximation of it in the first GPT and BERT."""
    return 0.5 * x * (1.0 + ops.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)))


ACTIVATIONS = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": ops.relu,
    "silu": ops.silu,
    "swish": ops.silu,
}


class FeedForward(keras.layers.Layer):
    """Two linear layers with an activation between."""

    def __init__(
        self, config: DistilBertConfig, dtype: Any = None, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        dtype = self.dtype_policy
        self.lin1 = linear(config, config.hidden_dim, dtype, "lin1")
        self.lin2 = linear(config, config.dim, dtype, "lin2")
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = keras.layers.Dropout(config.dropout, dtype=dtype)

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.lin1.build(input_shape)
        self.lin2.build((*input_shape[:-1], self.lin1.units))

    def call(self, hidden: Tensor) -> Tensor:
        """Apply the network to every position of hidden states (B, S, D)."""
        inner = self.activation(self.lin1(hidden))
        return self.dropout(self.lin2(inner))
