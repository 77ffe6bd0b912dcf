"""Int8 rows in a checkpoint: beside each int8 `X.weight` its float32 `X.weight_scale`.

The config.json says so in `quantization_config`, which is a field of the quantized model's config
(`config.extra`) and goes when the model is a float one again.

Not here: the arithmetic (`minidistil/quantization.py`).
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from minidistil.aliases import dtype_name
from minidistil.config import DTYPES, DistilBertConfig
from minidistil.quantization import METHOD, dequantize_rows

SUFFIX = "_scale"  # what the name of a weight's scales has besides


def take_scales(
    config: DistilBertConfig, weights: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Part the tensors of a checkpoint into weights and scales, and make the config a float one's.

    Args:
        config: Of the model that is loaded; its `quantization_config` is removed.
        weights: By their names in the checkpoint.

    Returns:
        The weights, int8 ones among them, and the scales (R,) by the names of their weights.

    Raises:
        ValueError: Quantized by another method, or scales that belong to no int8 matrix.
    """
    method = config.extra.pop("quantization_config", None)
    if not method:
        return dict(weights), {}
    if method != METHOD:
        raise ValueError(
            f"quantization_config={method!r}: the weights are numbers of another scale, which "
            f"this library does not undo (it knows {METHOD['quant_method']!r}); load the "
            "checkpoint it was made from"
        )
    names = {name for name in weights if name.endswith(f".weight{SUFFIX}")}
    scales = {name.removesuffix(SUFFIX): weights[name] for name in sorted(names)}
    for name, scale in scales.items():
        weight = weights.get(name)
        if weight is None or weight.dtype != torch.int8 or weight.dim() != 2:
            raise ValueError(f"{name}{SUFFIX} is there, but {name} is no int8 matrix")
        want, got = (len(weight),), tuple(scale.shape)
        if (got, scale.dtype) != (want, torch.float32) or not scale.isfinite().all():
            raise ValueError(
                f"{name}{SUFFIX} must be {want} finite float32, one a row of {name}, not "
                f"{got} {dtype_name(scale.dtype)}"
            )
    return {name: tensor for name, tensor in weights.items() if name not in names}, scales


def check_dtypes(
    weights: Mapping[str, Tensor], scales: Mapping[str, Tensor], names: Collection[str]
) -> None:
    """Refuse weights that are no floats and have no scales.

    Raises:
        ValueError: Names the first of them.
    """
    for name in sorted(set(names) - scales.keys()):
        if dtype_name(weights[name].dtype) not in DTYPES:
            raise ValueError(
                f"{name} is of {weights[name].dtype} in the checkpoint: quantized weights can't be "
                f"loaded without their scales; save the checkpoint in one of {DTYPES}"
            )


def as_floats(weight: Tensor, scale: Tensor | None, dtype: torch.dtype = torch.float32) -> Tensor:
    """A weight of the checkpoint: dequantized to `dtype` where it has scales, else itself."""
    return weight if scale is None else dequantize_rows(weight, scale, dtype)
