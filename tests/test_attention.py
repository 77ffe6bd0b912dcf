"""Multi-head attention: heads are a reshape, pruning is exact, an implementation is a parameter."""

import pytest
import torch

from minidistil import DistilBertConfig
from minidistil.attention import MultiHeadSelfAttention
from minidistil.ops import AttentionImpl, resolve_attention
from minidistil.ops.attention import eager
from tests.helpers.reference import amplify
from tests.helpers.tolerances import assert_close

EAGER = resolve_attention("eager")


def attention(pruned=(), **fields):
    config = DistilBertConfig(dim=12, n_heads=3, **fields)
    module = MultiHeadSelfAttention(config, list(pruned)).eval()
    amplify(module)
    return module


def test_heads_one_by_one():
    """Each head is an attention of its own on K columns; the output adds them up."""
    module, hidden = attention(), torch.randn(2, 5, 12)
    expected = module.out_lin.bias.expand(2, 5, 12)
    for head in range(3):
        rows = slice(head * 4, head * 4 + 4)
        query, key, value = (
            (hidden @ lin.weight[rows].T + lin.bias[rows])[:, None]
            for lin in (module.q_lin, module.k_lin, module.v_lin)
        )
        context, _ = eager(query, key, value)
        expected = expected + context[:, 0] @ module.out_lin.weight[:, rows].T
    assert_close(module(hidden, EAGER)[0], expected)


@pytest.mark.parametrize("heads", [[0], [2], [0, 1], [1, 1]])
def test_pruning_is_masking(heads):
    module, hidden = attention(), torch.randn(2, 5, 12)
    head_mask = torch.ones(3)
    head_mask[heads] = 0
    expected, weights = module(hidden, EAGER, head_mask=head_mask, need_weights=True)
    module.prune_heads(heads)
    assert module.q_lin.weight.shape == (12 - 4 * len(set(heads)), 12)
    actual, fewer = module(hidden, EAGER, need_weights=True)
    assert_close(actual, expected)
    kept = [h for h in range(3) if h not in heads]
    assert_close(fewer, weights[:, kept])


def test_masks_of_every_head_after_pruning():
    """Head and pair masks keep the numbers that heads had before pruning."""
    module, hidden = attention(), torch.randn(2, 5, 12)
    mask = torch.rand(2, 3, 5, 5) > 0.4
    factors = torch.tensor([0.5, 0.0, 2.0])
    expected, _ = module(hidden, EAGER, mask, factors)
    module.prune_heads([1])
    assert_close(module(hidden, EAGER, mask, factors)[0], expected)


def test_pruned_from_the_start():
    assert attention(pruned=[0, 2]).q_lin.weight.shape == (4, 12)


def test_dropout_only_in_training():
    seen = []

    def spy(query, key, value, mask=None, *, scale=None, dropout_p=0.0, need_weights=False):
        seen.append(dropout_p)
        return query, None

    module = attention(attention_dropout=0.3)
    for mode in (True, False):
        module.train(mode)(torch.randn(1, 2, 12), AttentionImpl(spy))
    assert seen == [0.3, 0.0]


def test_a_callable_sees_the_contract():
    seen = {}

    def spy(query, key, value, mask=None, **options):
        seen.update(shape=query.shape, mask=mask.shape, options=options)
        return query, None

    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    attention()(torch.randn(2, 5, 12), AttentionImpl(spy), mask)
    assert seen == {
        "shape": (2, 3, 5, 4),
        "mask": (2, 1, 1, 5),
        "options": {"dropout_p": 0.0, "need_weights": False},
    }


def test_weights_that_are_not_there():
    with pytest.raises(ValueError, match=r'set_attn_implementation\("eager"\)'):
        no_weights = AttentionImpl(lambda query, *_, **__: (query, None))
        attention()(torch.randn(1, 2, 12), no_weights, need_weights=True)


def test_additive_masks_under_autocast():
    """The query is bfloat16 there and the caller's mask still float32; kernels get one dtype."""
    module, hidden = attention(), torch.randn(2, 5, 12)
    mask = torch.zeros(2, 1, 1, 5).masked_fill(torch.rand(2, 1, 1, 5) > 0.6, -torch.inf)
    seen = []

    def spy(query, key, value, mask=None, **options):
        seen.append((query.dtype, mask.dtype))
        return eager(query, key, value, mask)

    with torch.autocast("cpu", torch.bfloat16):
        module(hidden, AttentionImpl(spy), mask)
        outputs = [module(hidden, resolve_attention(n), mask)[0] for n in ("eager", "sdpa")]
    assert seen == [(torch.bfloat16, torch.bfloat16)]
    torch.testing.assert_close(*outputs, rtol=0.05, atol=0.05)
