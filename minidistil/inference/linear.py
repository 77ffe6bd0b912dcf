"""Linear layers with their weights laid out beforehand, as the library that multiplies wants them.

    nn.Linear --once--> PackedLinear(x) = f(x W^T + b)

A product of a few rows with W spends its time fetching W. oneDNN, which does PyTorch's products on
a CPU, fetches fastest what lies in the order of its inner loop, and given a plain matrix it orders
it anew in every call. Here that is done once. The activation is applied to each tile of the result
while it is in the cache.

| precision | x, W | sum of products | result |
|---|---|---|---|
| float32 | float32 | float32 | float32 |
| bfloat16 | rounded to bfloat16 | float32 | bfloat16 |
| int8 | eight bits, a scale for each row of x and of W | int32 | float32 |

Without VNNI, an extension of AVX2 and AVX-512, x has seven bits: see `levels`.

Source: https://uxlfoundation.github.io/oneDNN/dev_guide_matmul.html, the memory format `any`.
Not here: the int8 rows of a weight (`minidistil.quantization`); GPUs, where a plain matrix is best.
"""

import mmap
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from minidistil.feed_forward import ACTIVATIONS
from minidistil.quantization import QuantizedLinear, dequantize_rows, quantize_rows

PRECISIONS = ("float32", "bfloat16", "int8")
# What oneDNN calls the activations, and which approximation of them it takes.
FUSED = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
    "silu": ("swish", ""),
    "swish": ("swish", ""),
}


def float_weight(linear: nn.Linear) -> Float[Tensor, "R C"]:
    """The weight of a layer in float32, be it float or int8 rows."""
    if isinstance(linear, QuantizedLinear):
        return dequantize_rows(linear.weight.detach(), linear.weight_scale.detach())
    return linear.weight.detach().float()


class PackedLinear(nn.Module):
    """f(x W^T + b) of one or more layers with the same input, side by side.

    Args:
        layers: Their outputs lie behind each other in the result.
        precision: One of `PRECISIONS`.
        activation: A name in `ACTIVATIONS`; None is none.

    Attributes:
        dtype: Of the input and the result.
        multiply: The product. What oneDNN lays out is no tensor that a module could hold.
        plain: Gives W back, as it was before.
    """

    multiply: Callable[[Tensor], Tensor]
    plain: Callable[[], Tensor]

    def __init__(
        self, layers: list[nn.Linear], precision: str, activation: str | None = None
    ) -> None:
        super().__init__()
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        bias = torch.cat([layer.bias.detach() for layer in layers]).to(self.dtype)
        if precision == "int8":
            self.multiply, self.plain = _whole_numbers(layers, bias, activation)
        else:
            weights = [float_weight(layer).to(self.dtype) for layer in layers]
            self.multiply, self.plain = _floats(weights, bias, activation)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Float[Tensor, "*B C"]) -> Float[Tensor, "*B R"]:
        """Multiply; the result is float32, or bfloat16 in that precision."""
        return self.multiply(x.to(self.dtype))

    def _save_to_state_dict(
        self, destination: dict[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        # So that who hashes a model's weights sees all of them.
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = self.plain()

    def __deepcopy__(self, memo: dict[int, Any]) -> "PackedLinear":
        return self  # nothing changes it

    def __reduce__(self) -> NoReturn:
        raise ValueError("a model from for_inference can't be pickled: save its original")


Product = tuple[Callable[[Tensor], Tensor], Callable[[], Tensor]]


def _floats(weights: list[Tensor], bias: Tensor, activation: str | None) -> Product:
    if bias.device.type == "cpu" and packs(bias.dtype):
        packed = torch.ops.mkldnn._reorder_linear_weight(_side_by_side(weights))
        name, form = FUSED[activation] if activation else ("none", "")
        multiply = torch.ops.mkldnn._linear_pointwise
        return lambda x: multiply(x, packed, bias, name, [], form), packed.to_dense
    after = ACTIVATIONS[activation] if activation else torch.nn.Identity()
    weight = torch.cat(weights)  # a copy, also of a single one
    return lambda x: after(F.linear(x, weight, bias)), lambda: weight


def _side_by_side(weights: list[Tensor]) -> Tensor:
    """One matrix of all, for a moment: outside the heap, where each block would leave a hole."""
    if len(weights) == 1:
        return weights[0]
    room = mmap.mmap(-1, sum(weight.nbytes for weight in weights))
    joined = torch.frombuffer(room, dtype=weights[0].dtype).view(-1, weights[0].shape[1])
    return torch.cat(weights, out=joined)


def _whole_numbers(layers: list[nn.Linear], bias: Tensor, activation: str | None) -> Product:
    """Whole numbers times whole numbers: W is s q, x is lo + step * n, row by row.

    x W^T = step * n q^T s + lo * sum(s q), n in 0 ... `levels()`: the first product is of whole
    numbers.
    """
    pairs = [
        (layer.weight, layer.weight_scale)
        if isinstance(layer, QuantizedLinear)
        else quantize_rows(layer.weight.detach())
        for layer in layers
    ]
    rows, scales = (torch.cat([*parts]).detach() for parts in zip(*pairs, strict=True))
    if not packs(torch.int8):
        return _floats([dequantize_rows(rows, scales)], bias, activation)
    packed = torch.ops.onednn.qlinear_prepack(rows, None)
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    sums = rows.sum(1) * scales
    after = ACTIVATIONS[activation] if activation else torch.nn.Identity()
    last = levels()

    def product(x: Tensor) -> Tensor:
        lo, hi = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
        step = ((hi - lo) / last).clamp_(min=torch.finfo(x.dtype).tiny)
        # The half makes cutting off a rounding.
        whole = torch.addcmul(0.5 - lo / step, x, 1 / step).to(torch.uint8)
        y = _multiply(whole, packed, scales, zeros)
        return after(torch.addcmul(torch.addcmul(bias, lo, sums), y, step))

    return product, lambda: dequantize_rows(rows, scales)


def _multiply(n: Tensor, packed: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    return torch.ops.onednn.qlinear_pointwise(
        n, 1.0, 0, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )


@cache
def levels() -> int:
    """The largest whole number of x: 255, or 127 where oneDNN adds pairs of products in 16 bits.

    A sum above 32,767 is cut there without a word. 2 * 255 * 127 is, 2 * 127 * 127 is not. Found by
    trying, for the answer is oneDNN's and not the processor's.

    Source: https://uxlfoundation.github.io/oneDNN/dev_guide_int8_computations.html.
    """
    weight = torch.ops.onednn.qlinear_prepack(torch.full((1, 2), 127, dtype=torch.int8), None)
    pair = torch.full((1, 2), 255, dtype=torch.uint8)
    scale, zero = torch.ones(1, dtype=torch.float32), torch.zeros(1, dtype=torch.int64)
    return 255 if _multiply(pair, weight, scale, zero).item() == 2 * 255 * 127 else 127


def packs(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch, on this CPU, has oneDNN for a dtype."""
    if not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return True
