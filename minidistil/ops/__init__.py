"""The seam between the modules and the kernels.

A module says *what* is computed; an operation here says *how*. `attention` holds the
implementations of attention, `contract` the door for yours, `layers` what stands between the other
matrix products.
"""

from minidistil.ops.attention import resolve_attention
from minidistil.ops.contract import AttentionImpl
from minidistil.ops.layers import TORCH, LayerOps, resolve_layer_ops

__all__ = ["TORCH", "AttentionImpl", "LayerOps", "resolve_attention", "resolve_layer_ops"]
