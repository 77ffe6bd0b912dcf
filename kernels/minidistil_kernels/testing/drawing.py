"""What cases are drawn from: sizes, dtypes, masks, and tensors made of a seed.

Not here: the cases, which differ from operation to operation.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from inspect import signature
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])
SEEDS = st.integers(0, 2**16)
# Two axes are the smallest case, though one has less: it is the usual one.
AXES = st.sampled_from([2, 1, 3])
# How the places of a mask are chosen. "one row empty" needs the laws' own care everywhere.
MASKS = st.sampled_from(["none", "all", "random", "one row empty", "nothing"])


def prepare() -> None:
    """Make bfloat16 right where cases run in Triton's interpreter."""
    if find_spec("triton"):
        from minidistil_kernels import interpreter, lab

        if interpreter.INTERPRETING:
            lab.repair_bf16()


def shape(axes: int, rows: int, width: int) -> tuple[int, ...]:
    """(width,), (rows, width), (rows, 2, width) ...: the shapes of an operation on rows."""
    return (width,) if axes == 1 else (rows, *[2] * (axes - 2), width)


def normal(
    seed: int, shape: Sequence[int], dtype: torch.dtype = torch.float32, scale: float = 1.0
) -> Tensor:
    """Normal numbers that depend on the seed and the shape only, whatever the dtype and device."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(tuple(shape), generator=generator) * scale).to(DEVICE, dtype)


def mask(seed: int, kind: str, shape: Sequence[int]) -> Tensor | None:
    """A boolean mask of one of the kinds `MASKS` draws; None for "none"."""
    if kind == "none":
        return None
    generator = torch.Generator().manual_seed(seed + 1)
    chosen = torch.rand(*shape, generator=generator) < 0.6
    if kind == "all":
        chosen[:] = True
    elif kind == "nothing":
        chosen[:] = False
    elif kind == "one row empty":
        chosen.view(-1, shape[-1])[0] = False
    return chosen.to(DEVICE)


def options(twin: Callable[..., Any], **values: Any) -> dict[str, Any]:
    """These options of `twin`, but for those that have its default: left out, they must, too."""
    parameters = signature(twin).parameters
    return {name: x for name, x in values.items() if x != parameters[name].default}


def gaps(inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """The integers and booleans of the inputs, each twice in memory: every other place a gap."""
    tensors = {name: x for name, x in inputs.items() if torch.is_tensor(x)}
    return {
        name: torch.stack([x, x], -1)[..., 0]
        for name, x in tensors.items()
        if not x.is_floating_point()
    }


def strided(x: Tensor) -> Tensor:
    """The same numbers in memory with gaps: every axis but the last has a stride of its own."""
    wide = torch.full((*x.shape[:-1], x.shape[-1] + 3), float("nan")).to(x)
    wide[..., : x.shape[-1]] = x
    return wide[..., : x.shape[-1]]
