"""A block of the fast path: the same sums as `transformer.py`, in fewer and larger products.

    qkv = x [Wq Wk Wv] + b               one product of width 3 D, for three of width D
    x   = LayerNorm(x + Wo attend(qkv))
    x   = LayerNorm(x + W2 f(W1 x))      f while the tile of W1 x is in the cache

The stream x, from residual to residual, and the LayerNorms stay in float32 in every precision: what
is rounded to fewer bits is rounded for one product and forgotten, so errors don't add up.

Not here: dropout, attention weights, head masks, chunks, anything with a gradient.
"""

import copy

from jaxtyping import Float, Int
from torch import Tensor, nn

from minidistil.inference.linear import PackedLinear
from minidistil.ops import AttentionImpl, LayerOps
from minidistil.transformer import TransformerBlock


class FastBlock(nn.Module):
    """Stands in a `Transformer` for a `TransformerBlock`, on packed batches.

    Args:
        block: What it is built from.
        activation: Of the feed-forward network, as in the config.
        precision: Of the products.
        attend: With a packed form; takes the place of the model's own.
    """

    def __init__(
        self, block: TransformerBlock, activation: str, precision: str, attend: AttentionImpl
    ) -> None:
        super().__init__()
        attention, ffn = block.attention, block.ffn
        self.head_width, self.attend = attention.head_width, attend
        self.qkv = PackedLinear([attention.q_lin, attention.k_lin, attention.v_lin], precision)
        self.out = PackedLinear([attention.out_lin], precision)
        self.lin1 = PackedLinear([ffn.lin1], precision, activation)
        self.lin2 = PackedLinear([ffn.lin2], precision)
        # Copies, for they become float32; they are small.
        self.sa_layer_norm = copy.deepcopy(block.sa_layer_norm).float()
        self.output_layer_norm = copy.deepcopy(block.output_layer_norm).float()

    def forward(
        self,
        hidden: Float[Tensor, "N D"],
        attend: AttentionImpl,
        mask: None,
        head_mask: None,
        cu_seqlens: Int[Tensor, " ends"],
        max_seqlen: int,
        need_weights: bool,
        ops: LayerOps,
    ) -> tuple[Float[Tensor, "N D"], None]:
        """Transform the hidden states of a packed batch; arguments as in `TransformerBlock`."""
        qkv = self.qkv(hidden).unflatten(-1, (3, -1, self.head_width))  # (N, 3, H, K)
        query, key, value = qkv.unbind(1)
        context = self.attend.on_packed(query, key, value, cu_seqlens, max_seqlen, dropout_p=0.0)
        hidden = self.sa_layer_norm(hidden + self.out(context.flatten(1)))
        return self.output_layer_norm(hidden + self.lin2(self.lin1(hidden))), None
