"""The seam between the modules and the kernels.

A module says *what* is computed; an operation here says *how*. `attention` holds the
implementations of attention and the door for yours.
"""

from minidistil.ops.attention import AttentionImpl, resolve_attention

__all__ = ["AttentionImpl", "resolve_attention"]
