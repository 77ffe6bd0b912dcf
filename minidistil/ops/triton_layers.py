"""The layers by the Triton kernels of `minidistil_kernels`: one pass over memory each.

Run on CUDA, and on the CPU in Triton's interpreter, which is for reading and testing.

Not here: the kernels, and attention (`triton_attention.py`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidistil.ops.layers import Activation, LayerOps
from minidistil_kernels.add_layer_norm import add_layer_norm as add_layer_norm_kernel
from minidistil_kernels.cross_entropy import cross_entropy as cross_entropy_kernel
from minidistil_kernels.embedding_layer_norm import embedding_layer_norm
from minidistil_kernels.linear_cross_entropy import linear_cross_entropy
from minidistil_kernels.linear_gelu import linear_gelu


def embed(
    input_ids: Tensor,
    position_ids: Tensor,
    words: nn.Embedding,
    positions: nn.Embedding,
    norm: nn.LayerNorm,
) -> Tensor:
    """LayerNorm(words[input_ids] + positions[position_ids])."""
    return embedding_layer_norm(
        input_ids,
        position_ids,
        _floats(words),
        _floats(positions),
        norm.weight,
        norm.bias,
        norm.eps,
        padding_idx=words.padding_idx,
    )


def add_layer_norm(x: Tensor, residual: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm(x + residual)."""
    # Under autocast a product arrives in half precision and the residual in float32: the sum, as
    # in PyTorch, is as wide as the widest.
    wide = torch.promote_types(torch.promote_types(x.dtype, residual.dtype), norm.weight.dtype)
    weight, bias = norm.weight.to(wide), norm.bias.to(wide)
    return add_layer_norm_kernel(x.to(wide), residual.to(wide), weight, bias, norm.eps)


def linear_activation(x: Tensor, linear: nn.Linear, activation: Activation) -> Tensor:
    """gelu(linear(x)) by the kernel; any other activation by PyTorch."""
    if activation is not F.gelu:
        return activation(linear(x))
    dtype = _dtype(x)
    return linear_gelu(x.to(dtype), _floats(linear).to(dtype), linear.bias.to(dtype))


def project_and_compare(
    hidden: Tensor, projector: nn.Linear, labels: Tensor, training: bool
) -> tuple[Tensor, Tensor | None]:
    """Cross-entropy; in training the (N, V) logits are never stored, and None is returned."""
    if training:
        dtype = _dtype(hidden)
        weight, bias = projector.weight.to(dtype), projector.bias.to(dtype)
        return linear_cross_entropy(hidden.to(dtype), weight, bias, labels), None
    logits = projector(hidden)
    return cross_entropy_kernel(logits, labels), logits


def _floats(module: nn.Linear | nn.Embedding) -> Tensor:
    if not module.weight.is_floating_point():
        raise ValueError(
            'layer_ops="triton" takes float weights, and this model is quantized: call '
            'set_layer_ops("torch")'
        )
    return module.weight


def _dtype(x: Tensor) -> torch.dtype:
    # Autocast casts the inputs of PyTorch's own products, but not those of a custom operator.
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


TRITON = LayerOps(embed, add_layer_norm, linear_activation, project_and_compare)
