"""Blocks and the stack: post-LN order, collecting, shapes checked as types."""

import pytest
import torch
from jaxtyping import TypeCheckError

from minidistil import DistilBertConfig
from minidistil.ops import resolve_attention
from minidistil.transformer import Transformer, TransformerBlock
from tests.helpers.tolerances import assert_close

EAGER = resolve_attention("eager")
CONFIG = DistilBertConfig(dim=8, n_heads=2, hidden_dim=11, n_layers=3)


def test_post_layer_norm():
    """Each sub-layer: add, then normalise. Pre-LN would give another number."""
    block, hidden = TransformerBlock(CONFIG, 0).eval(), torch.randn(2, 4, 8)
    inner = block.sa_layer_norm(hidden + block.attention(hidden, EAGER)[0])
    expected = block.output_layer_norm(inner + block.ffn(inner))
    assert_close(block(hidden, EAGER)[0], expected)
    torch.testing.assert_close(expected.mean(-1), torch.zeros(2, 4), rtol=0, atol=1e-6)


def test_collecting_only_what_was_asked_for():
    stack, hidden = Transformer(CONFIG).eval(), torch.randn(2, 4, 8)
    nothing = (EAGER, None, [None] * 3, None, 4)
    last, states, attentions = stack(hidden, *nothing, True, True)
    assert states[0] is hidden and states[-1] is last and len(states) == 4
    assert [tuple(a.shape) for a in attentions] == [(2, 2, 4, 4)] * 3
    again, states, attentions = stack(hidden, *nothing, False, False)
    assert torch.equal(again, last) and states == [] and attentions == []


def test_weights_are_returned_only_where_asked_for():
    block, hidden = TransformerBlock(CONFIG, 0).eval(), torch.randn(2, 4, 8)
    assert block(hidden, EAGER)[1] is None
    assert block(hidden, EAGER, need_weights=True)[1] is not None


def test_checkpointing_is_off_until_asked_for():
    stack = Transformer(CONFIG)
    assert stack.gradient_checkpointing is False


def test_checkpointing_below_frozen_embeddings():
    """The first block's input wants no gradient; its weights still do."""
    stack, hidden = Transformer(CONFIG).train(), torch.randn(2, 4, 8)
    gradients = []
    for checkpointing in (False, True):
        stack.gradient_checkpointing = checkpointing
        torch.manual_seed(0)  # dropout
        last, _, _ = stack(hidden, EAGER, None, [None] * 3, None, 4, False, False)
        gradients.append(torch.autograd.grad(last.square().sum(), [*stack.parameters()]))
    for plain, recomputed in zip(*gradients, strict=True):
        assert_close(recomputed, plain)


def test_shapes_in_annotations_are_checked_while_tests_run():
    """Guards the test run itself: without the import hook, wrong shapes would pass in silence."""
    block = TransformerBlock(CONFIG, 0)
    with pytest.raises(TypeCheckError):
        block.attention.forward(torch.randn(2, 4, 8).long(), EAGER)
