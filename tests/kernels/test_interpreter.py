"""What the kernels say about Triton, in fresh processes: its version, its mode, its dtypes."""

import os
import runpy
import subprocess
import sys

import pytest
import triton

from minidistil_kernels import interpreter

WITHOUT = """
import torch
from minidistil_kernels import interpreter, reference, softmax
assert not interpreter.INTERPRETING
x = torch.tensor([[0.0, 0.0]])
print(reference.softmax(x).tolist())
softmax(x)
"""

WITH = """
import torch
from minidistil_kernels import interpreter, lab, softmax
assert interpreter.INTERPRETING
x = torch.tensor([[0.0, 0.0]])
print(softmax(x).tolist(), softmax(x.half()).tolist())
try:
    softmax(x.bfloat16())
except ValueError as error:
    print(error)
lab.repair_bf16()
y = softmax(x.bfloat16())
print(y.tolist(), y.dtype)
"""


def python(program, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=kept | environment,
    )


def test_a_cpu_tensor_without_the_interpreter():
    """The reference runs; the kernel says what to set, and when."""
    done = python(WITHOUT)
    assert done.stdout == "[[0.5, 0.5]]\n", done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: softmax: the tensors are on the CPU")
    assert "set TRITON_INTERPRET=1 in the environment before Python starts" in last
    assert "minidistil_kernels.reference.softmax" in last


def test_bfloat16_in_the_interpreter():
    """Refused, not wrong, until it is repaired."""
    done = python(WITH, TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stderr
    first, refusal, repaired = done.stdout.splitlines()
    assert first == "[[0.5, 0.5]] [[0.5, 0.5]]"
    assert refusal == (
        "softmax: Triton's interpreter computes bfloat16 wrongly and silently; call "
        "minidistil_kernels.lab.repair_bf16() first, or use float32 or float16"
    )
    assert repaired == "[[0.5, 0.5]] torch.bfloat16"


@pytest.mark.parametrize("version", ["2.1.0", "3.2.0", "3.6.1+git1b0418a9"])
def test_an_old_triton(monkeypatch, version):
    monkeypatch.setattr(triton, "__version__", version)
    with pytest.raises(ImportError) as caught:
        runpy.run_path(interpreter.__file__)
    for part in (f"Triton {version} is installed", "3.7.1 and 3.9.0", "pip install"):
        assert part in str(caught.value)


@pytest.mark.parametrize("version", ["3.7.0", "3.7.1+rocm7", "3.10.0", "4.0.0rc1"])
def test_a_new_triton(monkeypatch, version):
    monkeypatch.setattr(triton, "__version__", version)
    assert runpy.run_path(interpreter.__file__)["INTERPRETING"] == interpreter.INTERPRETING
