"""Numbers of all kinds and devices, good and bad."""

import numpy as np
import pytest
import torch

from minidistil.arguments import plain, usable_device, whole


@pytest.mark.parametrize("five", [5, np.int64(5), np.uint8(5), torch.tensor(5)], ids=repr)
def test_whole_numbers(five):
    number = whole("size", five, least=5)
    assert number == 5 and type(number) is int


@pytest.mark.parametrize("value", [4, 5.0, np.float64(5), "5", None, True, torch.tensor([5, 6])])
def test_what_is_no_whole_number(value):
    with pytest.raises(ValueError, match=r"size=.* is no whole number from 5 up"):
        whole("size", value, least=5)


def test_plain_values_by_type():
    given = {np.str_("a"): [np.int64(1), (np.float32(0.5), True)], 1: {"b": np.bool_(False)}}
    assert repr(plain(given)) == "{'a': [1, [0.5, True]], 1: {'b': False}}"
    function = len
    assert plain(function) is function


def test_devices():
    for name in ("cpu", torch.device("cpu"), -1):
        assert usable_device(name) == torch.device("cpu")
    for name in ("abacus", "cuda:999"):
        with pytest.raises(ValueError, match=f"the device '{name}' can't be used"):
            usable_device(name)


def test_a_build_without_the_device(monkeypatch):
    """PyTorch's CPU build says so by an AssertionError."""

    def refuse(*_, **__):
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(ValueError, match="device 'cuda' can't be used: Torch not compiled with"):
        usable_device("cuda")
