"""The lab: measure and check any Triton kernel without a GPU.

- `meter`: bytes, FLOPs, programs and masked-off lanes, exactly; `side_by_side` and the drawings
  `draw_bytes` and `draw_roofline` show them.
- `memory_checks`: out-of-bounds accesses and races, at the kernel's own line.
- `repair_bf16`: makes bfloat16 right in the interpreter.

They listen to Triton's interpreter (`TRITON_INTERPRET=1` in the environment before Python starts);
compiled kernels are none of their business.

Not here: compiled code (`minidistil_kernels.lab.ahead_of_time`), which needs the interpreter off.
"""

from minidistil_kernels.lab.bf16 import repair_bf16
from minidistil_kernels.lab.events import KernelError
from minidistil_kernels.lab.memory import OutOfBoundsError, RaceError, memory_checks
from minidistil_kernels.lab.meter import Counts, Traffic, meter, side_by_side
from minidistil_kernels.lab.roofline import GPUS, Gpu, draw_bytes, draw_roofline

__all__ = [
    "GPUS",
    "Counts",
    "Gpu",
    "KernelError",
    "OutOfBoundsError",
    "RaceError",
    "Traffic",
    "draw_bytes",
    "draw_roofline",
    "memory_checks",
    "meter",
    "repair_bf16",
    "side_by_side",
]
