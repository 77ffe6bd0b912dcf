"""The conformance suite: hand it anybody's function and read which laws it obeys.

    print(check_softmax(my_softmax))

Needs hypothesis besides torch, nothing else: Triton only where the function needs it.

Cases are small. A fault that begins at sizes, head widths or scales beyond those of the cases (see
`CASES`, `HARD` and `MANY` of each file) is not found, nor is what only a GPU does.

Not here: fixed examples and what is specific to our kernels (`tests/kernels`).
"""

from minidistil_kernels.testing.add_layer_norm import check_add_layer_norm
from minidistil_kernels.testing.attention import check_attention
from minidistil_kernels.testing.cosine_loss import check_cosine_loss
from minidistil_kernels.testing.cross_entropy import check_cross_entropy, check_linear_cross_entropy
from minidistil_kernels.testing.distillation_loss import check_distillation_loss
from minidistil_kernels.testing.embedding_layer_norm import check_embedding_layer_norm
from minidistil_kernels.testing.linear_gelu import check_linear_gelu
from minidistil_kernels.testing.report import Report
from minidistil_kernels.testing.softmax import check_softmax

__all__ = [
    "Report",
    "check_add_layer_norm",
    "check_attention",
    "check_cosine_loss",
    "check_cross_entropy",
    "check_distillation_loss",
    "check_embedding_layer_norm",
    "check_linear_cross_entropy",
    "check_linear_gelu",
    "check_softmax",
]
