"""Feed-forward network: each position alone, D -> F -> D. lin1 -> activation -> lin2 -> dropout.

The twin of `minidistil/feed_forward.py`.

Source: Vaswani et al. 2017, equation 2, with GELU (Hendrycks and Gimpel 2016) for ReLU.
Not here: `chunk_size_feed_forward`, which changes no number, only the memory for them.
"""

from functools import partial

from flax import nnx
from jaxtyping import Array, Float

from minidistil.config import DistilBertConfig
from minidistil.ports.flax.layers import linear

gelu = partial(nnx.gelu, approximate=False)  # exact: x * Phi(x); flax's own default is the tanh
gelu_tanh = partial(nnx.gelu, approximate=True)
ACTIVATIONS = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": nnx.relu,
    "silu": nnx.silu,
    "swish": nnx.silu,
}


class FeedForward(nnx.Module):
    """Two linear layers with an activation between."""

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        self.lin1 = linear(config, config.dim, config.hidden_dim, rngs)
        self.lin2 = linear(config, config.hidden_dim, config.dim, rngs)
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = nnx.Dropout(config.dropout, rngs=rngs)

    def __call__(self, hidden: Float[Array, "B S D"], train: bool = False) -> Float[Array, "B S D"]:
        """Apply the network to every position; `train` switches dropout on."""
        inner = self.activation(self.lin1(hidden))
        return self.dropout(self.lin2(inner), deterministic=not train)
