"""What every kernel demands of its inputs: each check, and what it says."""

from contextlib import contextmanager

import pytest
import torch

from minidistil_kernels import inputs, interpreter

X = torch.zeros(2, 3)


@pytest.mark.parametrize("dtype", inputs.DTYPES)
def test_floats_of_one_dtype_pass(dtype):
    inputs.check_floats("op", x=X.to(dtype), y=X.to(dtype))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"x": X.double()},
            "op: x is torch.float64; the kernels know float32, float16 and bfloat16 "
            r"\(minidistil_kernels.reference.op takes any floating-point dtype\)",
        ),
        ({"x": X, "y": X.long()}, "op: y is torch.int64; the kernels know"),
        ({"x": X, "y": X.bool()}, "op: y is torch.bool"),
        ({"x": X, "y": X.half()}, "op: y is torch.float16, but x is torch.float32; cast one"),
        ({"x": X, "y": X.to("meta")}, "op: y is on meta, but x on cpu"),
    ],
)
def test_floats(tensors, message):
    with pytest.raises(ValueError, match=message):
        inputs.check_floats("op", **tensors)


@pytest.mark.parametrize("check", [inputs.check_floats, inputs.check_devices])
def test_what_is_no_tensor(check):
    with pytest.raises(TypeError, match=r"op: y is a list, expected a torch.Tensor"):
        check("op", x=X, y=[1.0, 2.0])


def test_bfloat16_is_refused_where_it_would_be_wrong(monkeypatch):
    monkeypatch.setattr(interpreter, "INTERPRETING", True)
    monkeypatch.setattr(interpreter, "bf16_repairs", [])
    with pytest.raises(ValueError, match=r"op: .*bfloat16 wrongly.*lab.repair_bf16\(\)"):
        inputs.check_floats("op", x=X.bfloat16())
    inputs.check_floats("op", x=X, y=X)
    monkeypatch.setattr(interpreter, "bf16_repairs", ["the repair"])
    inputs.check_floats("op", x=X.bfloat16())


def test_devices(monkeypatch):
    inputs.check_devices("op", x=X.to("meta"), ids=X.long().to("meta"))
    with pytest.raises(ValueError, match="op: ids is on meta, but x on cpu"):
        inputs.check_devices("op", x=X, ids=X.to("meta"))
    monkeypatch.setattr(interpreter, "INTERPRETING", False)
    with pytest.raises(ValueError, match=r"TRITON_INTERPRET=1 .* minidistil_kernels.reference.op$"):
        inputs.check_devices("op", x=X)
    inputs.check_devices("op", x=X.to("meta"))


def test_shape():
    inputs.check_shape("op", "weight", X, (2, 3))
    with pytest.raises(ValueError, match=r"op: weight has shape \(2, 3\), expected \(3, 2\)"):
        inputs.check_shape("op", "weight", X, (3, 2))


@pytest.mark.parametrize(
    "x",
    [
        X,
        torch.zeros(2, 5)[:, :3],  # gaps between rows
        torch.zeros(3).expand(2, 3),  # one row, twice
        torch.zeros(3, 4, 5).transpose(0, 1),
        torch.zeros(1, 2).T,  # a last axis of 1 has no neighbours
        torch.zeros(0, 2).T,  # nothing at all
        torch.zeros(()),
    ],
    ids=lambda x: f"{tuple(x.shape)} by {x.stride()}",
)
def test_rows_with_stride_1(x):
    inputs.check_rows("op", x=x)


@pytest.mark.parametrize(
    ("y", "stride"),
    [(torch.zeros(3, 2).T, 2), (torch.zeros(2, 6)[:, ::2], 2), (torch.zeros(2, 1).expand(2, 3), 0)],
)
def test_rows_of_another_stride(y, stride):
    message = rf"op: the last axis of y has stride {stride}, not 1; pass y.contiguous\(\)"
    with pytest.raises(ValueError, match=message):
        inputs.check_rows("op", x=X, y=y)
    inputs.check_rows("op", x=X, y=y.contiguous())


def ends(*values):
    return torch.tensor(values, dtype=torch.int32)


@pytest.mark.parametrize(
    ("cu_seqlens", "max_seqlen", "total", "longest"),
    [
        (ends(0, 2, 7), None, 7, 5),
        (ends(0, 2, 7), 5, 7, 5),
        (ends(0, 2, 7), 100, 7, 100),  # an upper bound is taken at its word
        (ends(0, 0, 3, 3), None, 3, 3),  # texts of no tokens
        (ends(0), None, 0, 0),  # no texts
        (ends(0, 0), None, 0, 0),
    ],
)
def test_packing(cu_seqlens, max_seqlen, total, longest):
    assert inputs.check_packing("op", cu_seqlens, max_seqlen, total) == longest


@pytest.mark.parametrize(
    ("cu_seqlens", "max_seqlen", "message"),
    [
        (
            ends(0, 2, 7).long(),
            None,
            r"must be int32 of shape \(sequences \+ 1,\), not torch.int64",
        ),
        (ends(0, 7)[None], None, r"not torch.int32 of shape \(1, 2\)"),
        (ends(), None, r"of shape \(0,\)"),
        (ends(0, 5, 3, 7), None, r"rise from 0 to the 7 tokens .* \[0, 5, 3, 7\]"),
        (ends(1, 7), None, r"is \[1, 7\]"),
        (ends(0, 6), None, r"is \[0, 6\]"),
        (ends(0, 8), 8, r"is \[0, 8\]"),
        (ends(0, 2, 7), 4, "op: max_seqlen is 4, but the longest sequence has 5"),
    ],
)
def test_packing_that_is_wrong(cu_seqlens, max_seqlen, message):
    with pytest.raises(ValueError, match=message):
        inputs.check_packing("op", cu_seqlens, max_seqlen, 7)


def test_a_given_length_is_not_read_off_the_device():
    """Elsewhere than on the CPU reading values would wait: the length is taken at its word."""
    assert inputs.check_packing("op", ends(0, 2, 7).to("meta"), 3, 7) == 3


@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 3, 5), (0, 5), (2, 0, 5)])
def test_as_rows(shape):
    x = torch.randn(shape)
    rows = inputs.as_rows(x)
    assert rows.shape == (x.numel() // 5, 5) and torch.equal(rows, x.reshape(-1, 5))


def test_as_rows_copies_nothing_it_need_not():
    x = torch.randn(4, 6, 9)[:, :, :5]
    assert inputs.as_rows(x).data_ptr() == x.data_ptr()
    assert inputs.as_rows(x).stride() == (9, 1)
    apart = x.transpose(0, 1)  # no common stride: a copy
    assert torch.equal(inputs.as_rows(apart), apart.reshape(-1, 5))


def test_an_operator_runs_on_the_device_of_its_first_input(monkeypatch):
    """Triton launches on the current GPU, which need not be that of the tensors."""
    current = []

    @contextmanager
    def device_of(x):
        current.append(x)
        yield
        current.clear()

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    during = inputs.on_device_of_first(lambda x, y: list(current))(X, X + 1)
    assert len(during) == 1 and during[0] is X and not current
