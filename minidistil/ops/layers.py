"""The layers around the matrix products, each operation whole, for one pass over memory.

The modules hold the parameters and call these with them; `TORCH` is the specification and the
default, `triton` (`triton_layers.py`) the kernels of `minidistil_kernels`.

Not here: attention (`attention.py`), chosen by itself with `set_attn_implementation`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LayerOps:
    """One way to compute the layers.

    Attributes:
        embed: `(input_ids, position_ids, words, positions, norm) -> (..., D)`, the normalised sum
            of two rows of two `nn.Embedding`.
        add_layer_norm: `(x, residual, norm) -> (..., D)`, the `nn.LayerNorm` of a sum.
        linear_activation: `(x, linear, activation) -> (..., F)`.
        project_and_compare: `(hidden, projector, labels, training) -> (loss, logits or None)`,
            hidden (N, D), labels (N,), -100 ignored: cross-entropy over the vocabulary.
    """

    embed: Callable[[Tensor, Tensor, nn.Embedding, nn.Embedding, nn.LayerNorm], Tensor]
    add_layer_norm: Callable[[Tensor, Tensor, nn.LayerNorm], Tensor]
    linear_activation: Callable[[Tensor, nn.Linear, Activation], Tensor]
    project_and_compare: Callable[[Tensor, nn.Linear, Tensor, bool], tuple[Tensor, Tensor | None]]


def cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = -100) -> Tensor:
    """Mean cross-entropy of (N, classes) over the labels (N,) that are not ignored, else 0.

    PyTorch's own mean is 0/0 = NaN on a batch without a label; this sum divided by at least 1 is 0
    there, with a zero gradient. In at least float32: a sum of losses overflows float16.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    total = F.cross_entropy(wide, labels, ignore_index=ignore_index, reduction="sum")
    return total / (labels != ignore_index).sum().clamp(min=1)


def _project_and_compare(
    hidden: Tensor, projector: nn.Linear, labels: Tensor, training: bool
) -> tuple[Tensor, Tensor]:
    logits = projector(hidden)
    return cross_entropy(logits, labels), logits


TORCH = LayerOps(
    embed=lambda ids, places, words, positions, norm: norm(words(ids) + positions(places)),
    add_layer_norm=lambda x, residual, norm: norm(x + residual),
    linear_activation=lambda x, linear, activation: activation(linear(x)),
    project_and_compare=_project_and_compare,
)
# The implementations loaded so far. Triton is imported when first asked for.
IMPLEMENTATIONS = {"torch": TORCH}


def resolve_layer_ops(implementation: Any) -> LayerOps:
    """Turn "torch", "triton" or a `LayerOps` into a `LayerOps`.

    Raises:
        ValueError: An unknown name, or "triton" where Triton is not installed.
        TypeError: Neither a name nor a `LayerOps`.
    """
    if isinstance(implementation, LayerOps):
        return implementation
    if not isinstance(implementation, str):
        raise TypeError(f"layer_ops must be a name or a LayerOps, not {implementation!r}")
    if implementation == "triton" and implementation not in IMPLEMENTATIONS:
        if find_spec("triton") is None:
            raise ValueError('layer_ops="triton" needs Triton: pip install triton (Linux only)')
        from minidistil.ops.triton_layers import TRITON

        IMPLEMENTATIONS["triton"] = TRITON
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f'unknown layer_ops {implementation!r}; known: "torch", "triton", an ops.LayerOps'
        )
    return IMPLEMENTATIONS[implementation]
