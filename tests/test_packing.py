"""Positions and first tokens of packed batches, by hand."""

import pytest
import torch

from minidistil.packing import check_packing, first_tokens, packed_positions


def test_positions_start_again():
    cu_seqlens = torch.tensor([0, 3, 3, 5], dtype=torch.int32)
    assert packed_positions(cu_seqlens, 5).tolist() == [0, 1, 2, 0, 1]


def test_the_longest_is_computed_where_looking_is_free():
    cu_seqlens = torch.tensor([0, 3, 3, 5], dtype=torch.int32)
    assert check_packing(cu_seqlens, None, 5) == 3
    assert check_packing(cu_seqlens, 9, 5) == 3
    assert check_packing(cu_seqlens.to("meta"), 9, 5) == 9


def test_first_tokens():
    hidden = torch.arange(10.0).view(5, 2)
    cu_seqlens = torch.tensor([0, 3, 5], dtype=torch.int32)
    assert first_tokens(hidden, cu_seqlens).tolist() == [[0, 1], [6, 7]]
    assert first_tokens(hidden[None], None).tolist() == [[0, 1]]
    with pytest.raises(ValueError, match=r"\[0, 5, 5\] holds a sequence without a \[CLS\]"):
        first_tokens(hidden, torch.tensor([0, 5, 5], dtype=torch.int32))
    with pytest.raises(ValueError, match="length 0"):
        first_tokens(torch.zeros(1, 0, 2), None)
