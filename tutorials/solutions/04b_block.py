"""A block whose residuals went astray.

    attended = LayerNorm_1(hidden + attention(hidden))
    result   = LayerNorm_2(attended + feed_forward(attended))

What is added around a part is the residual: what that part has read. In DistilBERT, as in BERT, the
LayerNorm comes after the sum (post-LN). Later models put it before the part and leave the sum alone
(pre-LN). Code that is half one and half the other runs, and trains; only with the weights of a
checkpoint does it give nonsense, and no error says so.

The block below has a fault in each of its lines. Find both, and mend them. The caller keeps
`hidden` as one of the hidden states that a model returns: leave its numbers as they are.

Shapes: hidden (..., D). The parts are functions of one tensor, (..., D) -> (..., D).
Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.1; Xiong et al. 2020, arXiv 2002.04745, on
both orders; minidistil/transformer.py.
"""

from collections.abc import Callable

import torch

Part = Callable[[torch.Tensor], torch.Tensor]


def block(
    hidden: torch.Tensor,
    attention: Part,
    sa_layer_norm: Part,
    feed_forward: Part,
    output_layer_norm: Part,
) -> torch.Tensor:
    """Transform hidden states: attention, then the feed-forward network."""
    # answer
    attended = sa_layer_norm(attention(hidden) + hidden)
    return output_layer_norm(feed_forward(attended) + attended)
    # instead
    # attended = sa_layer_norm(attention(hidden)) + hidden
    # return output_layer_norm(feed_forward(attended) + hidden)
    # end
