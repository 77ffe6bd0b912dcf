"""Tensors of a safetensors file are what was saved, and those of a block can be let go."""

import mmap
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minidistil.checkpoints.weights import read_weights

MODEL = "model.safetensors"
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int8)
TENSORS = {
    **{str(dtype): (torch.arange(35).reshape(5, 7) - 9).to(dtype) for dtype in DTYPES},
    "bool": torch.tensor([True, False, True]),
    "float8": torch.randn(3).to(torch.float8_e4m3fn),
    "none": torch.empty(0, 4),
    "one": torch.tensor(2.5),
    "pages": torch.randn(5000),
}


def saved(folder):
    safetensors.torch.save_file(TENSORS, folder / MODEL, {"format": "pt"})
    return read_weights(folder)


def test_they_are_what_was_saved(tmp_path):
    weights = saved(tmp_path)
    assert weights.keys() == TENSORS.keys()
    for name, tensor in weights.items():
        assert (tensor.dtype, tensor.shape) == (TENSORS[name].dtype, TENSORS[name].shape)
        assert tensor.is_contiguous()
        got, want = (t.flatten().view(torch.uint8) for t in (tensor, TENSORS[name]))
        assert torch.equal(got, want)


def test_a_block_is_its_own(tmp_path):
    """Writing to it changes neither the file nor another; no file stays open."""
    names = [f"distilbert.transformer.layer.{i}.ffn.lin1.weight" for i in (1, 1, 10)]
    names[1] = names[1].replace("lin1", "lin2")
    safetensors.torch.save_file({n: torch.ones(5) for n in [*names, "x"]}, tmp_path / MODEL)
    descriptors = Path("/proc/self/fd")
    opened = len([*descriptors.iterdir()]) if descriptors.exists() else 0
    before = (tmp_path / MODEL).read_bytes()
    weights = read_weights(tmp_path)
    assert not descriptors.exists() or len([*descriptors.iterdir()]) == opened
    # The file is less than a page: each mapping of it is one, and begins where a page does.
    page = {n: weights[n].data_ptr() // mmap.PAGESIZE for n in weights}
    assert page[names[0]] == page[names[1]]
    assert len({page[names[0]], page[names[2]], page["x"]}) == 3
    weights[names[0]].fill_(7)
    assert (tmp_path / MODEL).read_bytes() == before
    assert all(torch.equal(weights[n], torch.ones(5)) for n in [*names[1:], "x"])


def test_a_file_that_is_replaced_meanwhile(tmp_path, monkeypatch):
    """As another process's save does it."""
    safetensors.torch.save_file(
        {"a": torch.ones(4), "b.layer.0.c": torch.ones(4)}, tmp_path / MODEL
    )
    load = safetensors.torch.load_file

    def replaced(path):
        weights = load(path)
        safetensors.torch.save_file({"a": torch.ones(4).half()}, tmp_path / "new")
        (tmp_path / "new").replace(path)
        return weights

    monkeypatch.setattr(safetensors.torch, "load_file", replaced)
    with pytest.raises(ValueError, match="was replaced while it was read: load it again"):
        read_weights(tmp_path)
