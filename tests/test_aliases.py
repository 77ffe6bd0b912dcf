"""Every name of a field leads to the field, and two names that say the same agree."""

import dataclasses

import pytest
import torch

from minidistil import DistilBertConfig
from minidistil.aliases import canonical_fields, dtype_name


def test_aliases_are_read_written_and_accepted():
    config = DistilBertConfig(hidden_size=64, num_attention_heads=4, num_hidden_layers=2)
    assert (config.dim, config.n_heads, config.n_layers) == (64, 4, 2)
    config.hidden_size = 32
    assert (config.dim, config.hidden_size) == (32, 32)
    assert dataclasses.replace(config, n_layers=3).num_hidden_layers == 3
    assert DistilBertConfig(dim=64, hidden_size=64, n_heads=4).dim == 64
    with pytest.raises(
        ValueError, match="hidden_size=32 contradicts dim=64|dim=64 contradicts dim=32"
    ):
        DistilBertConfig(dim=64, hidden_size=32)


@pytest.mark.parametrize("dtype", [torch.float16, "torch.float16", "float16", torch.half])
def test_a_dtype_has_one_name(dtype):
    assert dtype_name(dtype) == "float16"
    assert canonical_fields({"torch_dtype": dtype, "dtype": "float16"}) == {"dtype": "float16"}
    assert DistilBertConfig(dtype=dtype, torch_dtype=torch.float16).dtype == "float16"
    with pytest.raises(ValueError, match="torch_dtype='float32' contradicts dtype='float16'"):
        DistilBertConfig(dtype=dtype, torch_dtype="float32")


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True, None])
def test_numbers_of_labels_that_make_no_sense(count):
    config = DistilBertConfig()
    with pytest.raises(ValueError, match=f"num_labels={count!r} is no whole number from 1 up"):
        config.num_labels = count
    assert config.num_labels == 2


def test_labels_that_are_no_dictionary_beside_their_number():
    with pytest.raises(ValueError, match=r"config\.id2label must be a dictionary, not 3"):
        DistilBertConfig(num_labels=2, id2label=3)
