"""Kernels and PyTorch's own: the same functions, and a table."""

import pytest
import torch

pytest.importorskip("triton")

from minidistil.benchmark.kernels import Sizes, cases, forward, kernels, table
from tests.benchmark.tiny import SETTING

SIZES = Sizes(batch=1, length=8, heads=2, width=16, inner=32, vocabulary=50)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def test_what_is_compared_computes_the_same():
    names = []
    for name, kernel, own, inputs in cases(torch.float16, DEVICE, SIZES):
        want = forward(
            own, {k: v.float() if v.is_floating_point() else v for k, v in inputs.items()}
        )
        got = forward(kernel, inputs).float()
        torch.testing.assert_close(got, want, rtol=1e-2, atol=1e-2, msg=name)
        names.append(name)
    assert len(names) == 9


def test_table():
    report = table(SETTING, SIZES, [torch.float16])
    assert len(report.rows) == 9 * 2
    assert {row["pass"] for row in report.rows} == {"forward", "forward_backward"}
    assert all(row["ratio"] > 0 for row in report.rows)


def test_without_a_gpu_there_is_nothing_to_time():
    with pytest.raises(ValueError, match="on a CUDA device"):
        kernels(SETTING, SIZES)
