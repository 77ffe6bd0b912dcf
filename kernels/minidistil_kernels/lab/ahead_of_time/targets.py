"""The GPUs kernels are compiled for ahead of time, and how many blocks of a kernel one SM holds.

A streaming multiprocessor (SM) runs several blocks (Triton: programs) at once, as many as its
registers, shared memory, threads and block slots allow. While one block waits for memory another
computes: few resident blocks mean fewer chances to hide the wait. That is a bound on concurrency,
not a speed: kernels that keep one block per SM busy exist, and are fast.

Source: NVIDIA, CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; the
granularities are those of NVIDIA's occupancy calculator. Tensor memory: PTX ISA, "Tensor Memory".
Not here: limits of AMD's gfx942, whose compute units divide registers differently.
"""

from typing import NamedTuple

from triton.backends.compiler import GPUTarget

SM_REGISTERS = 65536  # 32-bit registers of one SM, the same on every target below
SM_QUARTERS = 4  # an SM is four partitions with a quarter of the registers each
REGISTER_UNIT = 256  # a warp is given registers in units of this many
SHARED_UNIT = 128  # bytes: shared memory is given in units of this many
SHARED_RESERVED = 1024  # bytes the system takes for itself in each block's shared memory
TENSOR_COLUMNS = 512  # columns of tensor memory of one SM, where there is any


class Limits(NamedTuple):
    """What one SM has room for: bytes of shared memory, threads, blocks."""

    shared: int
    threads: int
    blocks: int


class Target(NamedTuple):
    """A GPU architecture as Triton names it, and its limits, None where nothing is known here."""

    gpu: GPUTarget
    limits: Limits | None


TARGETS = {
    "sm_80": Target(GPUTarget("cuda", 80, 32), Limits(164 * 1024, 2048, 32)),  # A100
    "sm_90": Target(GPUTarget("cuda", 90, 32), Limits(228 * 1024, 2048, 32)),  # H100, H200
    "sm_100": Target(GPUTarget("cuda", 100, 32), Limits(228 * 1024, 2048, 32)),  # B200
    "sm_120": Target(GPUTarget("cuda", 120, 32), Limits(100 * 1024, 1536, 24)),  # RTX 5090
    "gfx942": Target(GPUTarget("hip", "gfx942", 64), None),  # MI300X
}


def find_target(name: str) -> Target:
    """The target called `name`.

    Raises:
        ValueError: No target is called that; names those there are.
    """
    if name not in TARGETS:
        raise ValueError(f"target {name!r} is not one of {', '.join(TARGETS)}")
    return TARGETS[name]


def resident_blocks(
    limits: Limits, *, registers: int, shared: int, warps: int, tensor_columns: int = 0
) -> tuple[int, str]:
    """How many blocks one SM holds at once, and what keeps it from holding one more.

    Args:
        limits: Of the SM.
        registers: A thread.
        shared: Bytes of shared memory a block, without what the system reserves.
        warps: Of 32 threads, a block.
        tensor_columns: Columns of tensor memory a block.

    Returns:
        (blocks, limiter); 0 blocks: this kernel cannot start on this GPU.
    """
    warp_registers = _round_up(registers * 32, REGISTER_UNIT)
    resident_warps = SM_QUARTERS * (SM_REGISTERS // SM_QUARTERS // warp_registers)
    counts = {
        "registers": resident_warps // warps,
        "shared memory": limits.shared // _round_up(shared + SHARED_RESERVED, SHARED_UNIT),
        "threads": limits.threads // (32 * warps),
        "blocks": limits.blocks,
    }
    if tensor_columns:
        counts["tensor memory"] = TENSOR_COLUMNS // tensor_columns
    limiter = min(counts, key=lambda name: counts[name])
    return counts[limiter], limiter


def _round_up(count: int, unit: int) -> int:
    return -(-count // unit) * unit
