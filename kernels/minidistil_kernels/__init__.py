"""Triton kernels for DistilBERT, each beside a plain PyTorch twin in `reference.py`.

Start with `softmax.py`, then `attention_forward.py`; `kernels/README.md` has the reading order.
The functions below need Triton and either a GPU or Triton's interpreter (`TRITON_INTERPRET=1` in
the environment before Python starts). `minidistil_kernels.reference` needs neither.

Not here: the model (`minidistil`), which calls these through `minidistil.ops`.
"""

from importlib.util import find_spec

if find_spec("triton"):
    from minidistil_kernels.add_layer_norm import add_layer_norm
    from minidistil_kernels.attention import attention
    from minidistil_kernels.cosine_loss import cosine_loss
    from minidistil_kernels.cross_entropy import cross_entropy
    from minidistil_kernels.distillation_loss import distillation_loss
    from minidistil_kernels.embedding_layer_norm import embedding_layer_norm
    from minidistil_kernels.linear_cross_entropy import linear_cross_entropy
    from minidistil_kernels.linear_gelu import linear_gelu
    from minidistil_kernels.softmax import softmax

__all__ = [
    "add_layer_norm",
    "attention",
    "cosine_loss",
    "cross_entropy",
    "distillation_loss",
    "embedding_layer_norm",
    "linear_cross_entropy",
    "linear_gelu",
    "softmax",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        raise ImportError(
            f"minidistil_kernels.{name} needs Triton (pip install triton, Linux only); "
            f"minidistil_kernels.reference.{name} computes the same in plain PyTorch"
        )
    raise AttributeError(f"module 'minidistil_kernels' has no attribute {name!r}")
