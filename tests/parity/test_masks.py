"""Masks of every kind and pattern. No mask here is all True: that would prove nothing."""

import pytest
import torch

from minidistil import DistilBertConfig, DistilBertModel
from tests.helpers.reference import BATCH, CONFIGS, LENGTH, VOCAB, amplify, holey_mask, inputs, pair
from tests.helpers.tolerances import assert_close

IMPLEMENTATIONS = ["eager", "sdpa"]


def hidden(model, **given):
    with torch.no_grad():
        return model(**given).last_hidden_state


@pytest.mark.parametrize("attn", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", CONFIGS)
def test_the_mask_matters(name, attn):
    """Guards all the others: with these weights, the mask moves the result far beyond any bound."""
    _, ours = pair("DistilBertModel", name, attn_implementation=attn)
    given = inputs("DistilBertModel")
    masked, unmasked = hidden(ours, **given), hidden(ours, input_ids=given["input_ids"])
    assert (masked - unmasked).abs().max() > 0.1


@pytest.mark.parametrize("attn", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.float32])
def test_key_masks_of_every_dtype(dtype, attn):
    theirs, ours = pair("DistilBertModel", "k32-sinusoidal", attn_implementation=attn)
    given = inputs("DistilBertModel")
    expected = hidden(theirs, **given)
    mask = given["attention_mask"].to(dtype)
    assert_close(hidden(ours, input_ids=given["input_ids"], attention_mask=mask), expected)


@pytest.mark.parametrize("attn", IMPLEMENTATIONS)
@pytest.mark.parametrize("shape", [(BATCH, 1), (1, 1), (BATCH, 2), (1, 2)])
def test_4d_masks_of_both_kinds(shape, attn):
    """Boolean in our eager and sdpa, additive in the reference's eager: one result."""
    theirs, ours = pair("DistilBertModel", "k16", attn_implementation=attn)
    ids = torch.randint(VOCAB, (BATCH, LENGTH))
    allowed = torch.rand(*shape, LENGTH, LENGTH) > 0.5
    allowed |= torch.eye(LENGTH, dtype=torch.bool)  # no row without a key: those are our own law
    additive = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    expected = hidden(theirs, input_ids=ids, attention_mask=additive)
    assert_close(hidden(ours, input_ids=ids, attention_mask=additive), expected)
    assert_close(hidden(ours, input_ids=ids, attention_mask=allowed), expected)
    infinite = additive.masked_fill(~allowed, -torch.inf)
    assert_close(hidden(ours, input_ids=ids, attention_mask=infinite), expected)


@pytest.mark.parametrize("attn", IMPLEMENTATIONS)
def test_an_additive_mask_is_added(attn):
    """Not only blocked or free: a bias between tokens, as relative positions would use it."""
    theirs, ours = pair("DistilBertModel", "k40-tanh", attn_implementation=attn)
    ids = torch.randint(VOCAB, (BATCH, LENGTH))
    bias = torch.randn(BATCH, 2, LENGTH, LENGTH) * 2
    expected = hidden(theirs, input_ids=ids, attention_mask=bias)
    assert_close(hidden(ours, input_ids=ids, attention_mask=bias), expected)
    assert (hidden(ours, input_ids=ids) - expected).abs().max() > 0.1


@pytest.mark.parametrize("attn", IMPLEMENTATIONS)
def test_left_padding_with_position_ids(attn):
    theirs, ours = pair("DistilBertModel", "k16", attn_implementation=attn)
    ids = torch.randint(VOCAB, (2, LENGTH))
    mask = torch.ones(2, LENGTH, dtype=torch.long)
    mask[0, :4] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    given = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    actual = hidden(ours, **given)
    assert_close(actual, hidden(theirs, **given))
    # The same tokens without padding: the same numbers.
    assert_close(actual[0, 4:], hidden(ours, input_ids=ids[:1, 4:])[0])
    without = hidden(ours, input_ids=ids, attention_mask=mask)
    assert (without[0, 4:] - actual[0, 4:]).abs().max() > 0.1


@pytest.mark.parametrize("attn", IMPLEMENTATIONS)
@pytest.mark.parametrize("side", ["left", "right", "middle"])
def test_padding_invariance(side, attn):
    _, ours = pair("DistilBertModel", "k80-untied", attn_implementation=attn)
    ids = torch.randint(VOCAB, (1, 6))
    places = {"right": range(6), "left": range(5, 11), "middle": [0, 1, 2, 8, 9, 10]}[side]
    places = torch.tensor([*places])
    padded = torch.randint(VOCAB, (1, 11)).index_copy(1, places, ids)
    mask = torch.zeros(1, 11, dtype=torch.long).index_fill(1, places, 1)
    positions = torch.zeros(1, 11, dtype=torch.long).index_copy(1, places, torch.arange(6)[None])
    actual = hidden(ours, input_ids=padded, attention_mask=mask, position_ids=positions)
    assert_close(actual[:, places], hidden(ours, input_ids=ids))


@pytest.mark.parametrize("attn", IMPLEMENTATIONS)
@pytest.mark.parametrize("form", ["2d", "4d bool", "4d additive"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_query_without_keys(form, dtype, attn):
    """Our own law, where eager and sdpa of the reference disagree: context 0, gradient 0."""
    torch.manual_seed(1)
    config = DistilBertConfig(
        vocab_size=VOCAB, dim=32, n_heads=2, hidden_dim=37, n_layers=1, attn_implementation=attn
    )
    model = DistilBertModel(config).eval()
    amplify(model)
    model = model.to(dtype)
    ids = torch.randint(VOCAB, (3, LENGTH))
    mask = holey_mask(3)
    mask[2] = 0
    if form != "2d":
        mask = mask[:, None, None, :].bool()
    if form == "4d additive":
        mask = torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
    attention = model.transformer.layer[0].attention
    contexts = []
    handle = attention.out_lin.register_forward_pre_hook(lambda _, given: contexts.append(given[0]))
    output = model(ids, mask).last_hidden_state
    handle.remove()
    assert output.isfinite().all()
    assert (contexts[0][2] == 0).all() and (contexts[0][0] != 0).any()
    (output[2].float() ** 2).sum().backward()
    for lin in (attention.q_lin, attention.k_lin, attention.v_lin):
        assert (lin.weight.grad == 0).all() and (lin.bias.grad == 0).all()


@pytest.mark.parametrize("attn", IMPLEMENTATIONS)
def test_head_mask_is_masking_the_weights(attn):
    _, ours = pair("DistilBertModel", "k32-sinusoidal", attn_implementation=attn)
    given = inputs("DistilBertModel")
    per_layer = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 2.0]])
    actual = hidden(ours, **given, head_mask=per_layer)

    def weights_times_mask(layer):
        """The definition: each head's weights multiplied, in an attention of our own."""

        def padded(query, key, value, mask=None, *, scale=None, dropout_p=0.0, need_weights=False):
            from minidistil.ops.attention import eager

            _, weights = eager(query, key, value, mask, need_weights=True)
            weights = weights * per_layer[layer][:, None, None]
            return weights @ value, weights

        return padded

    state = hidden(ours, **given, head_mask=torch.ones(3))
    assert (state - actual).abs().max() > 0.1
    expected = ours.embeddings(given["input_ids"], None, torch.arange(LENGTH)[None])
    from minidistil.masks import attention_mask_for
    from minidistil.ops import AttentionImpl

    mask = attention_mask_for(given["attention_mask"], BATCH, LENGTH, 3)
    for layer, block in enumerate(ours.transformer.layer):
        expected, _ = block(expected, AttentionImpl(weights_times_mask(layer)), mask)
    assert_close(actual, expected)
