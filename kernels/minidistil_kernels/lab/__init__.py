"""The lab: measure and check any Triton kernel without a GPU.

- `meter`: bytes, FLOPs, programs and masked-off lanes, exactly; `side_by_side` and the drawings
  `draw_bytes` and `draw_roofline` show them.
- `memory_checks`: out-of-bounds accesses and races, at the kernel's own line.
- `undefined_as_nan`: NaN where a GPU leaves luck: masked lanes, unwritten memory.
- `repair_bf16`: makes bfloat16 right in the interpreter.

They listen to Triton's interpreter (`TRITON_INTERPRET=1` in the environment before Python starts);
compiled kernels are none of their business.

Not here: compiled code (`minidistil_kernels.lab.ahead_of_time`), which needs the interpreter off.
"""

from importlib.util import find_spec

if find_spec("triton") is None:
    raise ImportError(
        "minidistil_kernels.lab needs Triton (pip install triton, Linux only): it measures Triton "
        "kernels. minidistil_kernels.testing checks any function without"
    )

from minidistil_kernels.lab.bf16 import repair_bf16
from minidistil_kernels.lab.events import KernelError
from minidistil_kernels.lab.memory import OutOfBoundsError, RaceError, memory_checks
from minidistil_kernels.lab.meter import Counts, Traffic, meter, side_by_side
from minidistil_kernels.lab.roofline import GPUS, Gpu, draw_bytes, draw_roofline
from minidistil_kernels.lab.undefined import undefined_as_nan

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
    "undefined_as_nan",
]
