"""What every kernel demands of its inputs, checked before a launch.

A kernel gets bare addresses: handed a tensor of another dtype, device or layout it would read
garbage, not fail. So the functions users call check first and say what to change.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

from minidistil_kernels import interpreter

P = ParamSpec("P")
R = TypeVar("R")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def check_floats(op: str, **tensors: Tensor) -> None:
    """Check the floating-point inputs of `op`: one dtype the kernels know, one device they run on.

    Raises:
        TypeError: No tensor.
        ValueError: Another dtype, two dtypes, two devices, a CPU tensor without the interpreter,
            bfloat16 in an interpreter whose bfloat16 is not repaired, or a tangent.
    """
    check_devices(op, **tensors)
    first = next(iter(tensors.values()))
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise ValueError(
                f"{op}: {name} is {tensor.dtype}; the kernels know float32, float16 and bfloat16 "
                f"(minidistil_kernels.reference.{op} takes any floating-point dtype)"
            )
        if tensor.dtype != first.dtype:
            raise ValueError(
                f"{op}: {name} is {tensor.dtype}, but {next(iter(tensors))} is {first.dtype}; "
                "cast one of them"
            )
        # An operator has no forward derivative, and PyTorch takes what is not there for 0.
        if forward_ad.unpack_dual(tensor).tangent is not None:
            raise ValueError(
                f"{op}: {name} is differentiated forward (as torch.func.jvp does), and the kernels "
                f"know reverse mode only; minidistil_kernels.reference.{op} knows both"
            )
    if first.dtype == torch.bfloat16 and interpreter.INTERPRETING and not interpreter.bf16_repairs:
        raise ValueError(
            f"{op}: Triton's interpreter computes bfloat16 wrongly and silently; call "
            "minidistil_kernels.lab.repair_bf16() first, or use float32 or float16"
        )


def check_devices(op: str, **tensors: Tensor) -> None:
    """Check that all inputs of `op` are tensors on one device, and that kernels can run there.

    Raises:
        TypeError: No tensor.
        ValueError: Two devices, or a CPU tensor where the interpreter is off.
    """
    first = next(iter(tensors.values()))
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{op}: {name} is a {type(tensor).__name__}, expected a torch.Tensor")
        if tensor.device != first.device:
            raise ValueError(
                f"{op}: {name} is on {tensor.device}, but {next(iter(tensors))} on {first.device}"
            )
    if first.device.type == "cpu" and not interpreter.INTERPRETING:
        raise ValueError(
            f"{op}: the tensors are on the CPU, where Triton only runs in its interpreter: set "
            "TRITON_INTERPRET=1 in the environment before Python starts, move them to a GPU, or "
            f"call minidistil_kernels.reference.{op}"
        )


def check_shape(op: str, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Check one shape.

    Raises:
        ValueError: The shape differs from the expected one; names both.
    """
    if tensor.shape != shape:
        raise ValueError(f"{op}: {name} has shape {tuple(tensor.shape)}, expected {tuple(shape)}")


def check_rows(op: str, **tensors: Tensor) -> None:
    """Check that neighbours on the last axis are neighbours in memory, as every load here assumes.

    Raises:
        ValueError: The stride of the last axis is not 1.
    """
    for name, tensor in tensors.items():
        if tensor.numel() and tensor.ndim and tensor.shape[-1] > 1 and tensor.stride(-1) != 1:
            raise ValueError(
                f"{op}: the last axis of {name} has stride {tensor.stride(-1)}, not 1; "
                f"pass {name}.contiguous()"
            )


def check_packing(op: str, cu_seqlens: Tensor, max_seqlen: int | None, total: int) -> int:
    """Check the boundaries of a packed batch of `total` tokens; the values on the CPU only.

    Returns:
        `max_seqlen`, or the length of the longest sequence where it is None.

    Raises:
        ValueError: Boundaries that do not rise from 0 to `total`, or a `max_seqlen` too small.
    """
    if cu_seqlens.ndim != 1 or cu_seqlens.shape[0] < 1 or cu_seqlens.dtype != torch.int32:
        raise ValueError(
            f"{op}: cu_seqlens must be int32 of shape (sequences + 1,), not "
            f"{cu_seqlens.dtype} of shape {tuple(cu_seqlens.shape)}"
        )
    # Reading a value waits for a GPU, and a compiler cannot trace past it.
    visible = cu_seqlens.device.type == "cpu" and not torch.compiler.is_compiling()
    if max_seqlen is not None and not visible:
        return max_seqlen
    lengths = cu_seqlens.diff()
    if visible and ((lengths < 0).any() or (int(cu_seqlens[0]), int(cu_seqlens[-1])) != (0, total)):
        raise ValueError(
            f"{op}: cu_seqlens must rise from 0 to the {total} tokens of the batch, but is "
            f"{cu_seqlens.tolist()}"
        )
    longest = int(lengths.max()) if lengths.shape[0] else 0
    if max_seqlen is not None and max_seqlen < longest:
        raise ValueError(
            f"{op}: max_seqlen is {max_seqlen}, but the longest sequence has {longest}"
        )
    return longest if max_seqlen is None else max_seqlen


def seed_tensor(op: str, seed: int | Tensor, query: Tensor) -> Tensor:
    """The seed as kernels load it, int64 (1,): a CUDA graph replays numbers, reads tensors.

    Raises:
        ValueError: A number out of range, or a tensor of another dtype, shape or device.
    """
    if isinstance(seed, Tensor):
        check_devices(op, query=query, seed=seed)
        check_shape(op, "seed", seed, (1,))
        if seed.dtype != torch.int64:
            raise ValueError(f"{op}: seed is {seed.dtype}, expected int64")
        return seed
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
        raise ValueError(
            f"{op}: seed is {seed!r}, expected an int from 0 to 2**31 - 1, or int64 (1,)"
        )
    return torch.full((1,), seed, dtype=torch.int64, device=query.device)


def as_rows(x: Tensor) -> Tensor:
    """(..., N) as (rows, N); a view wherever the leading axes have one common stride."""
    return x[None].flatten(0, -2)


def on_device_of_first(op: Callable[P, R]) -> Callable[P, R]:
    """Make `op` launch on the GPU of its first argument: Triton launches on the current one."""

    @wraps(op)
    def launch(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.cuda.device_of(args[0]):  # does nothing for a CPU tensor
            return op(*args, **kwargs)

    return launch
