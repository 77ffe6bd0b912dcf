"""Weights in eight bits: a quarter of the bytes, one scale for each row.

A row of a weight matrix makes one output channel, or is the vector of one token. With the largest
absolute value of the row, q in -127 ... 127 and s > 0,

    s = max |w| / 127,    q = round(w / s),    w ~ q * s,    |w - q * s| <= s / 2.

A row has its own s, so that one large weight coarsens its own row only. It is symmetric: 0 stays 0.
R x C weights of float32 take 4 R C bytes, here R C + 4 R.

s is cut to 17 significant bits. q has 7, so that q * s fits into the 24 of a float32: the product
is exact, and quantizing q * s again gives the same q and the same s, bit for bit.

This saves memory and disk, not time. The matrix product is done in floating point as before, and
each forward pass first writes the float matrix out, layer by layer. What is faster is one kernel
that reads the eight bits and multiplies in registers, or that quantizes the hidden states too and
multiplies integers: torchao has both, see docs/quantization.md.

Source: Jacob et al. 2017, arXiv 1712.05877, section 2, without its zero point; one scale a row is
section 2.4 of Krishnamoorthi 2018, arXiv 1806.08342.
Not here: the file (`checkpoints/quantized.py`). Not in this library: training with quantization.
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int, Int8
from torch import Tensor, nn

from minidistil.pretrained import DistilBertPreTrainedModel

Model = TypeVar("Model", bound=DistilBertPreTrainedModel)

LARGEST = 127  # of int8; -128 is not used, or the row would not be symmetric
METHOD = {"quant_method": "minidistil_int8_rows"}  # the quantization_config of a config.json
SMALLEST_SCALE = torch.finfo(torch.float32).tiny  # of a row of zeros: no division by 0


def quantize_rows(
    weight: Float[Tensor, "R C"],
) -> tuple[Int8[Tensor, "R C"], Float32[Tensor, " R"]]:
    """Round each row to 255 levels of its own.

    Returns:
        q and s of the module's equation. The bound s / 2 holds up to the rounding of w / s in the
        weight's own precision, at least float32: some 1e-5 of s.

    Raises:
        ValueError: The weight is no floating-point matrix, or holds what is not finite in float32.
    """
    if weight.dim() != 2 or not weight.is_floating_point():
        shape = tuple(weight.shape)
        raise ValueError(
            f"only a matrix of floats has rows to quantize, not {shape} {weight.dtype}"
        )
    peak = weight.abs().amax(1).float()
    if not peak.isfinite().all():
        row = int((~peak.isfinite()).nonzero()[0])
        raise ValueError(
            f"row {row} holds a weight that is not finite in float32: no scale fits it"
        )
    scale = (peak / LARGEST).clamp(min=SMALLEST_SCALE)
    # Clear the last 7 of 24 significant bits. Cut, not rounded: 127 * s can't overflow.
    scale = (scale.view(torch.int32) & -128).view(torch.float32)
    # Of a float16 the quotient is a float32: the scale is one.
    return (weight / scale[:, None]).round().to(torch.int8), scale


def dequantize_rows(
    weight: Int8[Tensor, "*R C"], scale: Float32[Tensor, "*R"], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*R C"]:
    """Multiply q by s: exact in float32 and float64, and rounded once more in a narrower dtype."""
    return (weight * scale[..., None]).to(dtype)


class QuantizedRows(nn.Module):
    """Abstract: the weight of a layer as int8 rows and their scales.

    A subclass is also the `nn.Linear` or `nn.Embedding` that it stands for: the modules, `ops` and
    type checks ask for one. Whoever reads its `weight` has to look at the dtype.

    Attributes:
        weight: q, int8 (R, C).
        weight_scale: s, float32 (R,). Both are parameters without a gradient and not buffers: a
            tied weight stays one when the model moves to another device.
        dtype: Of the weights as they are used; follows `.to(dtype)`, which the scales do not.
    """

    def __init__(self, weight: nn.Parameter, scale: nn.Parameter, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)  # those of Linear and Embedding would draw a float weight
        self.weight, self.weight_scale, self.dtype = weight, scale, dtype

    def train(self, mode: bool = True) -> "QuantizedRows":
        """Stay in eval mode.

        Raises:
            ValueError: Training mode was asked for.
        """
        if mode:
            raise ValueError(
                "a quantized model can't be trained, whole numbers have no gradient: train the "
                "float model and quantize it afterwards"
            )
        return super().train(mode)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Take the parameters of a new layer, and no other weight afterwards.

        Raises:
            ValueError: The layer has its weight, whose scales would be wrong for another. All
                surgery begins with such an assignment.
        """
        if name == "weight" and name in self._parameters:
            raise ValueError(
                "the weight of a quantized layer can't be replaced: resize or prune the float "
                "model and quantize it afterwards"
            )
        super().register_parameter(name, param)

    def extra_repr(self) -> str:
        """What `print(model)` shows between the brackets."""
        return f"{' x '.join(map(str, self.weight.shape))} int8, {self.dtype}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "QuantizedRows":
        # What `.to`, `.half` and their like call. A rounded scale would be another scale.
        scale = self.weight_scale.data
        self.dtype = fn(torch.empty(0, dtype=self.dtype, device=scale.device)).dtype
        super()._apply(fn, recurse)
        self.weight_scale.data = scale.to(self.weight_scale.device)
        return self


class QuantizedLinear(QuantizedRows, nn.Linear):
    """`nn.Linear` of int8 rows, one an output channel."""

    def __init__(self, weight: nn.Parameter, scale: nn.Parameter, linear: nn.Linear) -> None:
        super().__init__(weight, scale, linear.weight.dtype)
        self.out_features, self.in_features = weight.shape
        self.bias = copy.deepcopy(linear.bias)

    def forward(self, input: Float[Tensor, "*B C"]) -> Float[Tensor, "*B R"]:
        """Compute x W^T + b; the float W lives as long as this product."""
        weight = dequantize_rows(self.weight, self.weight_scale, self.dtype)
        return F.linear(input, weight, self.bias)


class QuantizedEmbedding(QuantizedRows, nn.Embedding):
    """`nn.Embedding` of int8 rows, one a token or position."""

    def __init__(self, weight: nn.Parameter, scale: nn.Parameter, embedding: nn.Embedding) -> None:
        super().__init__(weight, scale, embedding.weight.dtype)
        self.num_embeddings, self.embedding_dim = weight.shape
        self.padding_idx = embedding.padding_idx

    def forward(self, input: Int[Tensor, "*B"]) -> Float[Tensor, "*B C"]:
        """Look up the rows of the ids; no other row is made float."""
        return dequantize_rows(self.weight[input], self.weight_scale[input], self.dtype)


def quantize(model: Model) -> Model:
    """Make a copy whose linear layers and embeddings are int8 rows, in eval mode and frozen.

    Biases and LayerNorms stay as they are: they are few, and their errors would add up. A tied
    projector stays tied. The copy computes, moves, saves and loads like any other model, with
    `layer_ops="torch"`; it can't be trained, resized or pruned.

    Args:
        model: Any model of this library; it is left alone.

    Raises:
        ValueError: A weight is not finite; names it.
    """
    rows: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}  # by the float weight: tied ones share
    implementation = model.config.attn_implementation
    copies: dict[int, Any] = {id(implementation): implementation}  # as in the model's constructor
    for path, module in model.named_modules():
        if not isinstance(module, nn.Linear | nn.Embedding) or isinstance(module, QuantizedRows):
            continue
        if id(module.weight) not in rows:
            try:
                weight, scale = quantize_rows(module.weight.detach())
            except ValueError as error:
                raise ValueError(f"{path}.weight: {error}") from error
            rows[id(module.weight)] = nn.Parameter(weight, False), nn.Parameter(scale, False)
        pair = rows[id(module.weight)]
        if isinstance(module, nn.Linear):
            copies[id(module)] = QuantizedLinear(*pair, module)
        else:
            copies[id(module)] = QuantizedEmbedding(*pair, module)
    # deepcopy takes what is in its memo for copied already: no float weight is ever copied.
    quantized = copy.deepcopy(model, copies)
    quantized.config.extra["quantization_config"] = dict(METHOD)
    return quantized.requires_grad_(False).eval()
