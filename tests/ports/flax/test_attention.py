"""Masks of every kind, head masks, pruned heads, and the weights of attention.

No mask here is all True: that would prove nothing.
"""

import pytest

pytest.importorskip("jax", reason="the port to JAX: pip install minidistil[jax]")
pytest.importorskip("flax", reason="the port to JAX: pip install minidistil[jax]")

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from minidistil import DistilBertConfig, DistilBertModel
from minidistil.ports.flax import FlaxDistilBertModel
from minidistil.ports.flax.attention import MultiHeadSelfAttention, attention_weights
from tests.helpers.reference import BATCH, LENGTH, VOCAB, amplify, holey_mask, inputs
from tests.helpers.tolerances import assert_close
from tests.ports.flax.models import port_pair, run, same
from tests.ports.parity import arrays, assert_outputs_close, ported, tensor

ALL = {"output_hidden_states": True, "output_attentions": True}
LOWEST = torch.finfo(torch.float32).min


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(2)
    return port_pair("DistilBertModel", "k32-sinusoidal")


def test_the_mask_matters(encoder):
    """Guards all the others: with these weights, the mask moves the result far beyond any bound."""
    given = arrays(inputs("DistilBertModel"))
    masked = run(encoder[1], given).last_hidden_state
    del given["attention_mask"]
    assert abs(masked - run(encoder[1], given).last_hidden_state).max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32])
def test_key_masks_of_every_dtype(encoder, dtype):
    given = inputs("DistilBertModel")
    given["attention_mask"] = given["attention_mask"].to(dtype) * torch.tensor(3).to(dtype)
    assert_outputs_close(run(encoder[1], arrays(given)), encoder[0](**given, **ALL))


@torch.no_grad()
@pytest.mark.parametrize("shape", [(BATCH, 1), (1, 3)])
def test_4d_masks_of_both_kinds(encoder, shape):
    """With rows that may attend nowhere: both ports hold the same law."""
    ours, port = encoder
    ids = torch.randint(VOCAB, (BATCH, LENGTH))
    allowed = torch.rand(*shape, LENGTH, LENGTH) > 0.5
    allowed[..., 3, :] = False
    expected = ours(ids, allowed, **ALL)
    given = {"input_ids": ids.numpy(), "attention_mask": allowed.numpy()}
    assert_outputs_close(run(port, given), expected)
    for blocked in (LOWEST, -torch.inf):
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, blocked)
        assert_outputs_close(run(port, given | {"attention_mask": mask.numpy()}), expected)


@torch.no_grad()
def test_an_additive_mask_is_added(encoder):
    ours, port = encoder
    ids = torch.randint(VOCAB, (BATCH, LENGTH))
    bias = torch.randn(BATCH, 3, LENGTH, LENGTH) * 2
    bias[torch.rand(bias.shape) > 0.8] = LOWEST
    given = {"input_ids": ids.numpy(), "attention_mask": bias.numpy()}
    assert_outputs_close(run(port, given), ours(ids, bias, **ALL))


@pytest.mark.parametrize(
    ("form", "dtype"),
    [
        ("2d", torch.float32),
        pytest.param("4d bool", torch.float32, marks=pytest.mark.slow),
        pytest.param("4d additive", torch.float32, marks=pytest.mark.slow),
        ("4d additive", torch.bfloat16),
    ],
)
def test_a_query_without_keys(form, dtype):
    """Its weights are 0, so its context is; no gradient reaches query, key and value; no NaN."""
    _, port = port_pair("DistilBertModel", "k16", dtype)
    ids = torch.randint(VOCAB, (3, LENGTH)).numpy()
    mask = holey_mask(3)
    mask[2] = 0
    if form != "2d":
        mask = mask[:, None, None, :].bool()
    if form == "4d additive":
        mask = torch.zeros(mask.shape).masked_fill(~mask, LOWEST)
    mask = mask.numpy()
    output = run(port, {"input_ids": ids, "attention_mask": mask})
    assert jnp.isfinite(output.last_hidden_state).all()
    assert (output.attentions[0][2] == 0).all()
    assert (abs(output.attentions[0][:2].sum(-1) - 1) < 0.02).all()

    def loss(model):
        return (model(ids, mask).last_hidden_state[2].astype(jnp.float32) ** 2).sum()

    gradients = nnx.jit(nnx.grad(loss))(port).transformer.layer[0].attention
    for lin in (gradients.q_lin, gradients.k_lin, gradients.v_lin):
        assert (lin.kernel[...] == 0).all() and (lin.bias[...] == 0).all()
    assert (gradients.out_lin.bias[...] != 0).any()


@torch.no_grad()
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_head_masks(encoder, shape):
    ours, port = encoder
    given = inputs("DistilBertModel") | {"head_mask": torch.rand(shape) * 2}
    given["head_mask"][..., 1] = 0
    assert_outputs_close(run(port, arrays(given)), ours(**given, **ALL))


@torch.no_grad()
def test_pruned_heads():
    """Masks for the heads are numbered as before the pruning."""
    config = DistilBertConfig(vocab_size=VOCAB, n_heads=3, n_layers=2, dim=96, hidden_dim=101)
    config.attn_implementation, config.pruned_heads = "eager", {1: [1]}
    ours = DistilBertModel(config).eval()
    amplify(ours)
    port = ported(FlaxDistilBertModel, ours)
    mask = torch.rand(BATCH, 3, LENGTH, LENGTH) > 0.5
    given = {
        "input_ids": torch.randint(VOCAB, (BATCH, LENGTH)),
        "attention_mask": mask,
        "head_mask": torch.tensor([1.0, 0.5, 2.0]),
    }
    actual = run(port, arrays(given))
    assert actual.attentions[1].shape[1] == 2
    assert_outputs_close(actual, ours(**given, **ALL))


def test_weights_by_hand():
    """Scores 0 and 2 sqrt(2) / sqrt(2) = 2: softmax gives 1 / (1 + e^2) and e^2 / (1 + e^2)."""
    query = jnp.array([[[[2**0.5, 2**0.5]]]])
    key = jnp.array([[[[0.0, 0.0]], [[1.0, 1.0]]]])
    weights = attention_weights(query, key)
    np.testing.assert_allclose(weights[0, 0, 0], [1 / (1 + np.e**2), np.e**2 / (1 + np.e**2)], 1e-6)
    alone = attention_weights(query, key, jnp.array([[[[True, False]]]]))
    assert alone[0, 0, 0].tolist() == [1, 0]


def test_no_nan_on_the_way():
    """Not even one that is thrown away later."""
    query = key = jnp.ones((1, 2, 1, 4))
    mask = jnp.array([[[[True, False], [False, False]]]])
    with jax.debug_nans(True):
        weights = attention_weights(query, key, mask)
        gradient = jax.grad(lambda q: (attention_weights(q, key, mask) ** 2).sum())(query)
    assert weights[0, 0].tolist() == [[1, 0], [0, 0]] and not gradient.any()


def test_the_weights_that_are_returned_are_those_that_were_used():
    """After dropout: about half of them are 0, the others doubled."""
    config = DistilBertConfig(vocab_size=9, dim=8, n_heads=2, attention_dropout=0.5)
    attention = MultiHeadSelfAttention(config, [], rngs=nnx.Rngs(0))
    hidden = jnp.array(np.random.default_rng(0).normal(size=(4, 16, 8)), jnp.float32)
    _, plain = attention(hidden)
    context, dropped = attention(hidden, train=True)
    kept = dropped != 0
    assert 0.45 < kept.mean() < 0.55
    np.testing.assert_allclose(dropped[kept], 2 * plain[kept], rtol=1e-6)
    value = attention.v_lin(hidden).reshape(4, 16, 2, 4)
    by_hand = jnp.einsum("bhqk,bkhd->bqhd", dropped, value).reshape(4, 16, 8)
    assert_close(tensor(context), tensor(attention.out_lin(by_hand)))
    assert same(attention(hidden)[1], plain)
