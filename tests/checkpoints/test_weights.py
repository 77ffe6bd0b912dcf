"""Tensors of a safetensors file lie each in a mapping of its own, whatever they are."""

import safetensors.torch
import torch

from minidistil.checkpoints.weights import read_weights

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
    safetensors.torch.save_file(TENSORS, folder / "model.safetensors", {"format": "pt"})
    return read_weights(folder)


def test_they_are_what_was_saved(tmp_path):
    weights = saved(tmp_path)
    assert weights.keys() == TENSORS.keys()
    for name, tensor in weights.items():
        assert (tensor.dtype, tensor.shape) == (TENSORS[name].dtype, TENSORS[name].shape)
        assert tensor.is_contiguous()
        got, want = (t.flatten().view(torch.uint8) for t in (tensor, TENSORS[name]))
        assert torch.equal(got, want)


def test_each_is_its_own(tmp_path):
    """Writing to one changes neither the file nor another; and none keeps another's memory."""
    weights = saved(tmp_path)
    bytes_before = (tmp_path / "model.safetensors").read_bytes()
    for name in weights:
        if weights[name].dtype in (torch.float32, torch.int64):
            weights[name].fill_(7)
    assert (tmp_path / "model.safetensors").read_bytes() == bytes_before
    assert torch.equal(weights["torch.bfloat16"], TENSORS["torch.bfloat16"])
    assert all(t.untyped_storage().nbytes() == t.nbytes for t in weights.values())
