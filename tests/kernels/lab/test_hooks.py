"""The hooks come and go without a trace.

In processes of their own: elsewhere in the tests the checks are always on.
"""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import pytest
import torch
import triton
import triton.language as tl
from triton.runtime import interpreter

from minidistil_kernels.lab import KernelError, OutOfBoundsError, memory_checks, meter


@triton.jit
def store_kernel(x_ptr, N, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    tl.store(x_ptr + offs, tl.sum(offs * 1.0, 0), mask=offs < N)


def state():
    owners = (interpreter, interpreter.GridExecutor, interpreter.ReduceOps, interpreter.ScanOps)
    methods = [dict(vars(owner)) for owner in owners]
    return methods, vars(interpreter.interpreter_builder).keys()


x = torch.zeros(8)
before = state()

with memory_checks():
    store_kernel[(1,)](x, 8, BLOCK=16)
    assert state() != before
    with meter() as m, pytest.raises(KernelError):
        store_kernel[(1,)](x, 9, BLOCK=16)
    assert state() != before
assert state() == before

outer, inner = memory_checks(), meter()
outer.__enter__()
m = inner.__enter__()
outer.__exit__(None, None, None)  # not the order they were opened in
store_kernel[(1,)](x, 8, BLOCK=16)
inner.__exit__(None, None, None)
assert m.total.launches == 1
assert state() == before

store_kernel[(1,)](x, 8, BLOCK=16)
assert m.total.launches == 1, "the meter is off"

with memory_checks(races=False):
    store_kernel[(2,)](x, 8, BLOCK=16)
with memory_checks(races=False), pytest.raises(OutOfBoundsError):
    store_kernel[(2,)](x, 9, BLOCK=16)
assert state() == before
"""


def run(tmp_path: Path, program: str, interpret: str = "1") -> None:
    # In a file: Triton reads the source of a kernel.
    path = tmp_path / "program.py"
    path.write_text(program)
    subprocess.run(
        [sys.executable, str(path)], check=True, env={**os.environ, "TRITON_INTERPRET": interpret}
    )


def test_the_interpreter_is_its_own_again_after_the_blocks(tmp_path):
    run(tmp_path, PROGRAM)


def test_without_the_interpreter_the_lab_says_so(tmp_path):
    program = """
import sys

import pytest

from minidistil_kernels.lab import memory_checks, meter

assert "matplotlib" not in sys.modules
for block in (meter(), memory_checks()):
    with pytest.raises(RuntimeError, match="TRITON_INTERPRET=1"), block:
        pass
"""
    run(tmp_path, program, interpret="0")
