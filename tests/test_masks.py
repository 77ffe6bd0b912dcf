"""Masks: what leaves for attention, by hand."""

import pytest
import torch

from minidistil.masks import attention_mask_for, head_masks_for


@pytest.mark.parametrize("mask", [[[1, 0, 2]], [[True, False, True]], [[0.5, 0.0, -1.0]]])
def test_a_key_mask_is_not_expanded(mask):
    result = attention_mask_for(torch.tensor(mask), 1, 3, 4)
    assert result.tolist() == [[[[True, False, True]]]]


def test_a_mask_that_blocks_nothing_is_none():
    assert attention_mask_for(None, 2, 3, 4) is None
    assert attention_mask_for(torch.ones(2, 3), 2, 3, 4) is None
    assert attention_mask_for(torch.ones(2, 3, device="meta"), 2, 3, 4).shape == (2, 1, 1, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_the_smallest_number_blocks(dtype):
    smallest = torch.finfo(dtype).min
    mask = torch.tensor([0.0, -1.0, smallest, -torch.inf], dtype=dtype)[None, None, None]
    result = attention_mask_for(mask, 1, 4, 1)
    assert result.flatten().tolist() == [0.0, -1.0, -torch.inf, -torch.inf]


def test_head_masks():
    assert head_masks_for(None, 2, 3) == [None, None]
    one, two = head_masks_for(torch.tensor([1.0, 0.0, 2.0]), 2, 3)
    assert one.tolist() == two.tolist() == [1, 0, 2]
    one, two = head_masks_for(torch.tensor([[1.0, 0, 2], [3, 4, 5]]), 2, 3)
    assert (one.tolist(), two.tolist()) == ([1, 0, 2], [3, 4, 5])
    with pytest.raises(ValueError, match=r"\(2, 2\); it must be \(heads,\) = \(3,\)"):
        head_masks_for(torch.ones(2, 2), 2, 3)
