"""Ahead-of-time report: what the compiler makes of a kernel, read without a GPU.

    with record_launches() as cases:
        my_function(torch.zeros(4, 768, dtype=torch.float16))
    print(table(report(cases, ["sm_80", "gfx942"])))

for any `@triton.jit` kernels, or, for this package's own (`catalogue.py`) beside their committed
ceilings:

    python -m minidistil_kernels.lab.ahead_of_time --target sm_80 --kernel softmax

The figures are proxies: they show a spill, a scalar load, a kernel that leaves room for one block
on an SM. They do not show time, and none of them is a speed.

Reading order: `compilation.py`, `launches.py`, `machine_code.py`, `targets.py`, `reporting.py`.
Not here: the interpreter. Kernels are compiled in a process started without TRITON_INTERPRET; the
command sees to that itself.
"""

from minidistil_kernels.lab.ahead_of_time.compilation import Case, Compiled, compile_ahead
from minidistil_kernels.lab.ahead_of_time.launches import record_launches
from minidistil_kernels.lab.ahead_of_time.reporting import report, table
from minidistil_kernels.lab.ahead_of_time.targets import TARGETS

__all__ = ["TARGETS", "Case", "Compiled", "compile_ahead", "record_launches", "report", "table"]
