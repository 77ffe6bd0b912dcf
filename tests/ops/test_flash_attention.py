"""The door to flash-attn: how it refuses, and what it hands over.

The package cannot run here. A stand-in with its signature computes each text by the specification,
so that what the door passes decides the numbers.
"""

import sys
from importlib.util import find_spec
from types import ModuleType

import pytest
import torch

from minidistil.ops import flash_attention, resolve_attention
from minidistil.ops.attention import eager
from tests.helpers.tolerances import assert_close

DOOR = resolve_attention("flash_attention_2")


def flash_attn_varlen_func(
    q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k,
    dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0,
    alibi_slopes=None, deterministic=False, return_attn_probs=False, block_table=None,
):  # fmt: skip
    """The signature of flash-attn 2.8; queries and keys of a text may differ in number."""
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    assert max(cu_seqlens_q.diff()) <= max_seqlen_q and max(cu_seqlens_k.diff()) <= max_seqlen_k
    assert not causal
    out = torch.zeros_like(q)
    bounds = zip(
        cu_seqlens_q[:-1], cu_seqlens_q[1:], cu_seqlens_k[:-1], cu_seqlens_k[1:], strict=True
    )
    for q_start, q_end, k_start, k_end in bounds:
        if k_end > k_start:
            query, key, value = (
                x.transpose(0, 1) for x in (q[q_start:q_end], k[k_start:k_end], v[k_start:k_end])
            )
            scale = query.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
            weights = (query @ key.transpose(-1, -2) * scale).softmax(-1)
            # Without chance: every weight shrinks by the share of them that would be dropped.
            out[q_start:q_end] = (weights @ value).transpose(0, 1) * (1 - dropout_p)
    return out


@pytest.fixture
def _installed(monkeypatch):
    package = ModuleType("flash_attn")
    package.flash_attn_varlen_func = flash_attn_varlen_func
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    monkeypatch.setattr(flash_attention, "_check", lambda query: None)


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("kind", ["none", "random", "one text empty"])
def test_padded_equals_eager(kind, scale):
    query, key, value = torch.randn(3, 3, 2, 7, 16).unbind()
    mask = None
    if kind != "none":
        mask = torch.rand(3, 1, 1, 7) > 0.4
        mask[1] = kind == "random"
    context, weights = DOOR.padded(query, key, value, mask, scale=scale)
    assert weights is None
    assert_close(context, eager(query, key, value, mask, scale=scale)[0])


@pytest.mark.usefixtures("_installed")
def test_packed_equals_eager():
    query, key, value = torch.randn(3, 9, 2, 16).unbind()
    ends = torch.tensor([0, 4, 4, 9], dtype=torch.int32)
    expected = resolve_attention("eager").packed(query, key, value, ends, 5)
    assert_close(DOOR.packed(query, key, value, ends, 5), expected)


@pytest.mark.usefixtures("_installed")
def test_dropout_is_handed_over():
    """No dropout is the default of both forms, as it is in eval."""
    query, key, value = torch.randn(3, 2, 2, 7, 16).unbind()
    expected = eager(query, key, value)[0]
    assert_close(DOOR.padded(query, key, value, dropout_p=0.25)[0], 0.75 * expected)
    rows, ends = [x.transpose(1, 2).flatten(0, 1) for x in (query, key, value)], [0, 7, 14]
    packed = DOOR.packed(*rows, torch.tensor(ends, dtype=torch.int32), 7, dropout_p=0.25)
    assert_close(packed, 0.75 * expected.transpose(1, 2).flatten(0, 1))


@pytest.mark.usefixtures("_installed")
def test_masks_it_cannot_take():
    query = torch.randn(2, 2, 5, 16)
    with pytest.raises(ValueError, match=r"takes a mask over keys only.*\(2, 1, 5, 5\)"):
        DOOR.padded(query, query, query, torch.ones(2, 1, 5, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="float32 of shape"):
        DOOR.padded(query, query, query, torch.zeros(2, 1, 1, 5))
    with pytest.raises(ValueError, match="never forms them"):
        DOOR.padded(query, query, query, need_weights=True)


@pytest.mark.skipif(find_spec("flash_attn") is not None, reason="the package is installed")
def test_absent_package():
    query = torch.randn(1, 1, 4, 16)
    with pytest.raises(ValueError, match="pip install flash-attn"):
        DOOR.padded(query, query, query)


def test_wrong_device_or_dtype(monkeypatch):
    monkeypatch.setattr(flash_attention, "find_spec", lambda name: object())
    query = torch.randn(1, 1, 4, 16)
    with pytest.raises(ValueError, match=r"not torch.float32 on cpu"):
        DOOR.padded(query, query, query)
