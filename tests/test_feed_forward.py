"""The feed-forward network: activations by their formulas, chunks change nothing."""

import math

import pytest
import torch

from minidistil import DistilBertConfig
from minidistil.feed_forward import ACTIVATIONS, FeedForward


def scalar(x, name):
    if name == "gelu":
        return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))
    if name in ("gelu_new", "gelu_pytorch_tanh"):
        return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if name in ("silu", "swish"):
        return x / (1 + math.exp(-x))
    return max(x, 0.0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_against_their_formulas(name):
    xs = torch.linspace(-6, 6, 101, dtype=torch.float64)
    expected = torch.tensor([scalar(float(x), name) for x in xs], dtype=torch.float64)
    torch.testing.assert_close(ACTIVATIONS[name](xs), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [(2, 7, 8), (7, 8)])
@pytest.mark.parametrize("chunk", [1, 3, 7, 50])
def test_chunks_change_nothing(shape, chunk):
    config = DistilBertConfig(dim=8, n_heads=2, hidden_dim=11)
    whole, hidden = FeedForward(config).double().eval(), torch.randn(shape).double()
    config.chunk_size_feed_forward = chunk
    parts = FeedForward(config).double().eval()
    parts.load_state_dict(whole.state_dict())
    widest = []
    parts.lin1.register_forward_hook(lambda _, __, output: widest.append(output.shape[-2]))
    torch.testing.assert_close(parts(hidden), whole(hidden), rtol=0, atol=1e-14)
    assert max(widest) == min(chunk, 7)
