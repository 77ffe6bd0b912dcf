"""The Triton kernel as the attention of the model: every law, in the form the model calls."""

import pytest
import torch

pytest.importorskip("triton", reason="the kernels need Triton")

from minidistil.ops import resolve_attention
from minidistil_kernels.testing import attention as laws
from minidistil_kernels.testing.attention_packed import PACKED_LAWS
from minidistil_kernels.testing.attention_packed_dropout import PACKED_DROPOUT_LAWS

TRITON = resolve_attention("triton")


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(TRITON.padded, examples)
    assert result.holds, result


@pytest.mark.parametrize("law", PACKED_LAWS, ids=lambda law: law.check.__name__)
def test_packed_law(law, examples):
    result = law.try_on(TRITON.packed, examples)
    assert result.holds, result


@pytest.mark.parametrize("law", PACKED_DROPOUT_LAWS, ids=lambda law: law.check.__name__)
def test_packed_law_of_dropout(law, examples):
    result = law.try_on(TRITON.packed, examples)
    assert result.holds, result


def test_refusals():
    query = torch.randn(2, 2, 5, 16)
    with pytest.raises(ValueError, match="never forms them"):
        TRITON.padded(query, query, query, need_weights=True)
    with pytest.raises(ValueError, match=r"takes a mask over keys only.*\(2, 1, 5, 5\)"):
        TRITON.padded(query, query, query, torch.ones(2, 1, 5, 5, dtype=torch.bool))


def test_a_mask_for_all_texts():
    """(1, 1, 1, S) is broadcast over the batch."""
    query, key, value = torch.randn(3, 2, 2, 5, 16).unbind()
    mask = torch.tensor([True, False, True, True, False]).view(1, 1, 1, 5)
    expected = resolve_attention("eager").padded(query, key, value, mask)[0]
    torch.testing.assert_close(TRITON.padded(query, key, value, mask)[0], expected)
