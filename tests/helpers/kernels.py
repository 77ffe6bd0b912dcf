"""How tests run kernels: accesses checked, luck made NaN, bfloat16 right, so many cases a law."""

from contextlib import ExitStack
from importlib.util import find_spec

import hypothesis
import pytest
import torch

INTERPRETING = HAVE_TRITON = find_spec("triton") is not None

if HAVE_TRITON:
    from minidistil_kernels import interpreter, lab

    INTERPRETING = interpreter.INTERPRETING
    if INTERPRETING:
        lab.repair_bf16()

# What listens to the interpreter has nothing to hear where the kernels are compiled.
interpreted = pytest.mark.skipif(not INTERPRETING, reason="needs Triton's interpreter")


@pytest.fixture(autouse=True)
def kernel_conditions():
    """Interpreted: every access checked, NaN in what a GPU leaves undefined; one thread, since
    tensors are small. Compiled: a GPU.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with ExitStack() as stack:
        if INTERPRETING:
            stack.enter_context(lab.memory_checks())
            stack.enter_context(lab.undefined_as_nan())
        elif torch.cuda.is_available():
            stack.enter_context(torch.device("cuda"))
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def examples() -> int:
    """Random cases a law, besides its hard ones: 5, and 20 with `--hypothesis-profile=thorough`."""
    return hypothesis.settings.default.max_examples // 20
