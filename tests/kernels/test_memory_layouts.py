"""Where inputs lie in memory: integers and masks anywhere, rows as far apart as they may be."""

import re
from pathlib import Path

import pytest
import torch

import minidistil_kernels as ours
from tests.kernels.operators import OPERATIONS, first

WITH_INTEGERS = [
    "softmax", "embedding_layer_norm", "cross_entropy", "linear_cross_entropy",
    "distillation_loss", "cosine_loss",
]  # fmt: skip


@pytest.mark.parametrize("name", WITH_INTEGERS)
def test_integers_and_masks_may_lie_anywhere_in_memory(name):
    """Every second number of a tensor: the bits of contiguous ones, forward and backward."""
    function, inputs, once, _ = OPERATIONS[name]
    inputs = inputs | {once: inputs[once].detach().requires_grad_()}
    integers = {
        key: x.contiguous()
        for key, x in inputs.items()
        if isinstance(x, torch.Tensor) and not x.is_floating_point()
    }
    assert integers
    gapped = {key: torch.stack([x, x.flip(-1)], -1)[..., 0] for key, x in integers.items()}
    expected, actual = (first(function(**inputs | same)) for same in (integers, gapped))
    assert torch.equal(actual, expected)
    expected, actual = (torch.autograd.grad(y.sum(), inputs[once]) for y in (expected, actual))
    assert torch.equal(*actual, *expected)


def test_numbers_of_programs_are_widened_before_strides_multiply_them():
    """Row times stride passes 2^31 in a large matrix, which no test has the memory for.

    So the source is read: each `tl.program_id` becomes 64 bits at once, or the start of a block.
    """
    wide = re.compile(
        r"tl\.program_id\(\d\)[^()]*(\)?\.to\(tl\.int64\)| \* (BLOCK|SLICE)(_[A-Z])?\b)"
    )
    sources = sorted(Path(ours.__file__).parent.glob("*.py"))
    lines = [line.strip() for path in sources for line in path.read_text("utf-8").splitlines()]
    narrow = [line for line in lines if "tl.program_id(" in line and not wide.search(line)]
    # The place of an id in `sum_rows_by_id.py`: nothing multiplies it.
    assert narrow == ["first = tl.program_id(0)"]
