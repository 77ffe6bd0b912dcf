"""What an implementation returns is held to the contract, in the model and by itself."""

import pytest
import torch

from minidistil import DistilBertConfig, DistilBertModel
from minidistil.ops import AttentionImpl

CONFIG = DistilBertConfig(vocab_size=9, n_layers=1, dim=16, n_heads=2, hidden_dim=8)


def context_alone(query, key, value, mask=None, **_):
    return value


def cut(query, key, value, mask=None, **_):
    return value[:, :, :2], None


def nothing(query, key, value, mask=None, **_):
    return None


def no_context(query, key, value, mask=None, **_):
    return None, None


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (context_alone, r"returned shape \(2, 2, 4, 8\), not \(context, weights\)"),
        (nothing, r"returned None, not \(context, weights\)"),
        (cut, r"returned a context of shape \(2, 2, 2, 8\), not of shape \(2, 2, 4, 8\)"),
        (no_context, r"returned a context of None, not of shape"),
    ],
)
def test_padded(function, message):
    """With a batch of two, a bare context would come apart into a context and weights."""
    model = DistilBertModel(CONFIG).eval()
    model.set_attn_implementation(function)
    with pytest.raises(ValueError, match=f"{function.__name__} .*{message}"):
        model(torch.ones(2, 4, dtype=torch.long))


def test_packed():
    def packed(query, key, value, cu_seqlens, max_seqlen, **_):
        return value[0]

    model = DistilBertModel(CONFIG).eval()
    model.set_attn_implementation(AttentionImpl(context_alone, packed))
    ends = torch.tensor([0, 4], dtype=torch.int32)
    with pytest.raises(ValueError, match=r"packed .*context of shape \(2, 8\), not of shape \(4"):
        model(torch.ones(4, dtype=torch.long), cu_seqlens=ends)
