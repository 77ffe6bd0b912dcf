"""The seam between the modules and the kernels.

A module says *what* is computed; an operation here says *how*. `attention` holds the
implementations of attention and the door for yours, `layers` what stands between the other matrix
products.
"""

from minidistil.ops.attention import AttentionImpl, resolve_attention
from minidistil.ops.layers import TORCH, LayerOps, resolve_layer_ops

__all__ = ["TORCH", "AttentionImpl", "LayerOps", "resolve_attention", "resolve_layer_ops"]
