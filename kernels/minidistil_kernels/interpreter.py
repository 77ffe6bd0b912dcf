"""Whether the kernels run in Triton's interpreter, and what it can be trusted with.

Triton decides when a kernel is decorated: with `TRITON_INTERPRET=1` in the environment the kernel
becomes a Python function that NumPy executes program by program, otherwise it is compiled at its
first launch. The variable must be set before `import triton`.

Not here: the repair of bfloat16 itself (`lab/bf16.py`).
"""

import triton

if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 7):
    raise ImportError(
        f"Triton {triton.__version__} is installed; minidistil_kernels needs 3.7 or later and is "
        "tested with 3.7.1 and 3.9.0: pip install 'triton>=3.7.1'"
    )

# After the check: older versions have no knobs.
from triton import knobs

INTERPRETING: bool = knobs.runtime.interpret

# The interpreter multiplies the bit patterns of bfloat16 as if they were integers, and says
# nothing. `lab.repair_bf16` mends it and adds itself here; until then bfloat16 is refused.
bf16_repairs: list[str] = []
