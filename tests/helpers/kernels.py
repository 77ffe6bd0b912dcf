"""How tests run kernels: memory accesses checked, bfloat16 made right, so many cases a law."""

from importlib.util import find_spec

import hypothesis
import pytest

HAVE_TRITON = find_spec("triton") is not None

if HAVE_TRITON:
    from minidistil_kernels import interpreter, lab

    if interpreter.INTERPRETING:
        lab.repair_bf16()


@pytest.fixture(autouse=True)
def memory_checked():
    """Every launch in the interpreter: no access out of bounds, no race."""
    if HAVE_TRITON and interpreter.INTERPRETING:
        with lab.memory_checks():
            yield
    else:
        yield


@pytest.fixture
def examples() -> int:
    """Random cases a law: 10, and 30 with `--hypothesis-profile=thorough`."""
    return hypothesis.settings.default.max_examples // 10
