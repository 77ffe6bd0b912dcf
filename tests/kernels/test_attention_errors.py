"""What the attention kernel refuses: each an error that names the argument and the way out."""

import math

import numpy
import pytest
import torch

from minidistil_kernels import attention, interpreter
from minidistil_kernels.testing import drawing

QKV = ("query", "key", "value")


@pytest.mark.parametrize("name", QKV)
def test_rows_too_far_apart(name):
    """A stride of 2^31, which one row can have without as much memory."""
    inputs = dict.fromkeys(QKV, torch.zeros(1, 1, 1, 16, device=drawing.DEVICE))
    far = inputs[name].as_strided((1, 1, 1, 16), (2**31, 2**31, 2**31, 1))
    with pytest.raises(ValueError, match=r"1 rows of stride 2147483648.*\.contiguous\(\)"):
        attention(**inputs | {name: far})


def ends(*numbers, dtype=torch.int32):
    return torch.tensor(numbers, dtype=dtype, device=drawing.DEVICE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"query": torch.zeros(2, 2, 5, 16, dtype=torch.float64)},
            r"query is torch.float64.*refer",
        ),
        ({"key": torch.zeros(2, 2, 5, 16, dtype=torch.float16)}, "key is torch.float16, but query"),
        ({"value": torch.zeros(2, 2, 5, 16, device="meta")}, "value is on meta, but query on"),
        ({"query": torch.zeros(2, 5, 16)}, r"query has shape \(2, 5, 16\).*without cu_seqlens"),
        ({"key": torch.zeros(2, 2, 6, 16)}, r"key has shape \(2, 2, 6, 16\), expected \(2, 2, 5"),
        ({"value": torch.zeros(2, 2, 5, 32)}, r"value has shape \(2, 2, 5, 32\)"),
        ({"key": torch.zeros(2, 2, 16, 5).mT}, r"key has stride 5, not 1; pass key.contiguous\(\)"),
        ({"key_mask": torch.ones(2, 5)}, "key_mask is torch.float32; pass booleans"),
        ({"key_mask": torch.ones(2, 1, 1, 5).bool()}, r"key_mask has shape \(2, 1, 1, 5\)"),
        ({"key_mask": torch.ones(2, 4).bool()}, r"shape \(2, 4\), expected \(2, 5\)"),
        ({"key_mask": torch.ones(2, 5, device="meta").bool()}, "key_mask is on meta"),
        ({"max_seqlen": 5}, "max_seqlen is 5, but cu_seqlens is None"),
        ({"cu_seqlens": ends(0, 5)}, r"expected \(N, H, K\) with cu_seqlens"),
        ({"scale": 0.0}, "scale is 0.0, expected more than 0"),
        ({"scale": -0.5}, "negate query"),
        ({"scale": math.nan}, "scale is nan"),
        ({"scale": math.inf}, "scale is inf"),
        ({"dropout_p": 1.5}, "dropout_p is 1.5, expected 0 to 1"),
        ({"dropout_p": -0.1}, "dropout_p is -0.1"),
        ({"dropout_p": math.nan}, "dropout_p is nan"),
        ({"seed": -1}, r"seed is -1, expected an int from 0 to 2\*\*31 - 1, or int64 \(1,\)"),
        ({"seed": True}, "seed is True, expected an int"),
        ({"seed": 1.0}, "seed is 1.0, expected an int"),
        ({"seed": numpy.int64(3)}, r"seed is np.int64\(3\), expected an int"),
        ({"seed": 2**31}, "seed is 2147483648"),
        ({"seed": ends(1)}, "seed is torch.int32, expected int64"),
        ({"seed": ends(1, 2, dtype=torch.int64)}, r"seed has shape \(2,\), expected \(1,\)"),
        ({"seed": torch.ones(1, dtype=torch.int64, device="meta")}, "seed is on meta"),
    ],
)
def test_errors(change, message):
    inputs = dict.fromkeys(QKV, torch.zeros(2, 2, 5, 16)) | change
    inputs = {k: on_device(v) for k, v in inputs.items()}
    with pytest.raises(ValueError, match=message):
        attention(**inputs)


def on_device(value):
    moves = isinstance(value, torch.Tensor) and value.device.type != "meta"
    return value.to(drawing.DEVICE) if moves else value


@pytest.mark.parametrize("width", [8, 15, 129, 136])
def test_head_widths_out_of_range(width):
    query = drawing.normal(0, (1, 1, 3, width))
    message = f"head width is {width}; the kernels serve 16 to 128.*reference.attention serves any"
    with pytest.raises(ValueError, match=message):
        attention(query, query, query)


ON_CPU = pytest.mark.skipif(drawing.DEVICE != "cpu", reason="on a GPU no values are looked at")


@pytest.mark.parametrize(
    ("cu_seqlens", "more", "message"),
    [
        (ends(0, 3, 5), {"key_mask": torch.ones(2, 3).bool()}, "exclude each other"),
        (ends(0, 3, 5, dtype=torch.int64), {}, r"must be int32.*not torch.int64 of shape \(3,\)"),
        (ends(0, 5)[None], {}, r"not torch.int32 of shape \(1, 2\)"),
        (ends(), {}, r"of shape \(0,\)"),
        (torch.zeros(2, dtype=torch.int32, device="meta"), {}, "cu_seqlens is on meta"),
        pytest.param(ends(1, 5), {}, r"rise from 0 to the 5 tokens.*\[1, 5\]", marks=ON_CPU),
        pytest.param(ends(0, 4), {}, r"\[0, 4\]", marks=ON_CPU),
        pytest.param(ends(0, 4, 3, 5), {}, r"\[0, 4, 3, 5\]", marks=ON_CPU),
        pytest.param(ends(0, 4), {"max_seqlen": 5}, r"\[0, 4\]", marks=ON_CPU),
        pytest.param(ends(0), {}, r"\[0\]", marks=ON_CPU),
        pytest.param(
            ends(0, 4, 5), {"max_seqlen": 3}, "max_seqlen is 3.*longest sequence has 4",
            marks=ON_CPU,
        ),
    ],
)  # fmt: skip
def test_errors_of_packing(cu_seqlens, more, message):
    query = drawing.normal(0, (5, 2, 16))
    with pytest.raises(ValueError, match=message):
        attention(query, query, query, cu_seqlens=cu_seqlens, **more)


def test_the_cpu_without_the_interpreter(monkeypatch):
    monkeypatch.setattr(interpreter, "INTERPRETING", False)
    query = torch.zeros(1, 1, 3, 16)
    with pytest.raises(ValueError, match="set TRITON_INTERPRET=1 in the environment before Python"):
        attention(query, query, query)
