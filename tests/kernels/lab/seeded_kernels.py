"""Kernels whose figures are known beforehand. Run as a program it prints one JSON object.

Not a test: tests may run where kernels are interpreted, and these have to be compiled.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl

from minidistil_kernels.lab.ahead_of_time import Case, compile_ahead, record_launches


@triton.jit
def scale_row_kernel(x_ptr, y_ptr, stride, BLOCK: tl.constexpr):
    """The whole row stays in registers between the sum and the store."""
    offs = tl.program_id(0) * stride + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs).to(tl.float32)
    tl.store(y_ptr + offs, (x * tl.sum(x, 0)).to(y_ptr.dtype.element_ty))


@triton.jit
def square_kernel(x_ptr, y_ptr, BLOCK: tl.constexpr, PRECISION: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs[:, None] * BLOCK + offs)
    y = tl.dot(x, x, input_precision=PRECISION)
    tl.store(y_ptr + offs[:, None] * BLOCK + offs, y.to(y_ptr.dtype.element_ty))


HALVES = {"x_ptr": "*fp16", "y_ptr": "*fp16"}
SINGLES = {"x_ptr": "*fp32", "y_ptr": "*fp32"}
ROW = HALVES | {"stride": "i32"}

CASES = [
    # 2048 halves over 128 threads: 16 each, two accesses of 128 bits in and two out.
    Case("hinted", scale_row_kernel, ROW, {"BLOCK": 2048}),
    # The same, one half at a time: 16 in and 16 out.
    Case("unhinted", scale_row_kernel, ROW, {"BLOCK": 2048}, divisible_by_16=()),
    # 8192 floats over the 32 threads of one warp: 256 each, and 255 registers to keep them in.
    Case("spilling", scale_row_kernel, ROW, {"BLOCK": 8192}, num_warps=1),
    Case("half dot", square_kernel, HALVES, {"BLOCK": 32, "PRECISION": "ieee"}),
    Case("ieee dot", square_kernel, SINGLES, {"BLOCK": 32, "PRECISION": "ieee"}),
    Case("tf32 dot", square_kernel, SINGLES, {"BLOCK": 32, "PRECISION": "tf32"}),
]


def launch(rows: int, columns: int, shift: int = 0) -> dict[str, Any]:
    """What is recorded of a launch on the rows of a matrix, `shift` floats into its memory."""
    x = torch.zeros(shift + rows * columns)[shift:].view(rows, columns)
    with record_launches() as cases:
        scale_row_kernel[(rows,)](x, x, x.stride(0), BLOCK=64, num_warps=2)
    (case,) = cases
    return {
        "signature": dict(case.signature),
        "constants": dict(case.constants),
        "num_warps": case.num_warps,
        "divisible_by_16": sorted(case.divisible_by_16 or ()),
    }


def failure(program: Callable[[], Any]) -> str:
    try:
        program()
    except (TypeError, ValueError, FileNotFoundError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def compile_without_cuobjdump() -> None:
    # Triton looks for a file beside itself; here it finds none.
    vars(type(triton.knobs.nvidia))["cuobjdump"].default_path = "/nowhere/cuobjdump"
    compile_ahead(CASES[0], "sm_80")


def main() -> None:
    if triton.knobs.runtime.interpret:
        calls = {
            "compile": lambda: compile_ahead(CASES[0], "sm_80"),
            "record": lambda: launch(1, 64),
        }
        json.dump({name: failure(call) for name, call in calls.items()}, sys.stdout)
        return
    rows = {
        f"{case.name} {target}": compile_ahead(case, target).row()
        for case in CASES
        for target in ("sm_80", "gfx942")
    }
    launches = {
        "even": launch(2, 64),
        "odd": launch(2, 63),
        "one": launch(2, 1),
        "shifted": launch(2, 64, shift=1),
        "aligned": launch(2, 64, shift=4),
    }
    wrong = Case("wrong", scale_row_kernel, HALVES | {"step": "i32"}, {"BLOCK": 16})
    errors = {
        "arguments": failure(lambda: compile_ahead(wrong, "sm_80")),
        "target": failure(lambda: compile_ahead(CASES[0], "sm_75")),
        "cuobjdump": failure(compile_without_cuobjdump),
    }
    json.dump({"rows": rows, "launches": launches, "errors": errors}, sys.stdout)


if __name__ == "__main__":
    main()
