"""Masks of every kind and pattern. No mask here is all True: that would prove nothing."""

import pytest

pytest.importorskip(
    "minidistil.ports.tensorflow",
    reason="the port to Keras: pip install minidistil[tensorflow]",
    exc_type=ModuleNotFoundError,
)

import numpy as np
import tensorflow as tf
import torch

from minidistil.ports.tensorflow.attention import attention_weights
from tests.helpers.reference import BATCH, LENGTH, VOCAB, holey_mask, inputs
from tests.helpers.tolerances import assert_close
from tests.ports.parity import arrays, assert_outputs_close, tensor
from tests.ports.tensorflow.models import port_pair


@pytest.fixture(scope="module")
def models():
    return port_pair("DistilBertModel", "k32-sinusoidal")


@torch.no_grad()
def hidden(model, *given):
    given = (x.numpy() if isinstance(x, torch.Tensor) else x for x in given)
    return tensor(model(*given).last_hidden_state)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.float32])
@torch.no_grad()
def test_key_masks_of_every_dtype(models, dtype):
    ours, port = models
    ids, mask = inputs("DistilBertModel").values()
    expected = ours(ids, mask).last_hidden_state
    assert (ours(ids).last_hidden_state - expected).abs().max() > 0.1  # the mask matters
    mask = mask * 0.3 if dtype == torch.float32 else mask.to(dtype)
    assert_close(hidden(port, ids, mask), expected)


@pytest.mark.parametrize("shape", [(BATCH, 1), (1, 1), (BATCH, 3), (1, 3)])
@torch.no_grad()
def test_4d_masks_of_both_kinds(models, shape):
    ours, port = models
    ids = torch.randint(VOCAB, (BATCH, LENGTH))
    allowed = torch.rand(*shape, LENGTH, LENGTH) > 0.5
    allowed[..., 2, :] = False  # a query without keys
    expected = ours(ids, allowed).last_hidden_state
    assert_close(hidden(port, ids, allowed), expected)
    for blocked in (torch.finfo(torch.float32).min, -torch.inf):
        additive = torch.zeros(allowed.shape).masked_fill(~allowed, blocked)
        assert_close(hidden(port, ids, additive), expected)


@torch.no_grad()
def test_an_additive_mask_is_added(models):
    ours, port = models
    ids = torch.randint(VOCAB, (BATCH, LENGTH))
    bias = torch.randn(BATCH, 3, LENGTH, LENGTH) * 2
    expected = ours(ids, bias).last_hidden_state
    assert (ours(ids).last_hidden_state - expected).abs().max() > 0.1
    assert_close(hidden(port, ids, bias), expected)


def test_a_float32_mask_in_a_float64_model_and_the_other_way_round():
    """Keras would cast it, and float32's smallest number is no longer the smallest in float64."""
    ours, port = port_pair("DistilBertModel", "k16", torch.float64)
    ids = torch.randint(VOCAB, (BATCH, LENGTH))
    mask = holey_mask()
    mask[2] = 0
    expected = hidden(port, ids, mask)
    with torch.no_grad():
        assert_close(expected, ours(ids, mask).last_hidden_state)
    for dtype in (np.float32, np.float64):
        additive = np.where(mask[:, None, None], 0, np.finfo(dtype).min).astype(dtype)
        assert_close(hidden(port, ids, additive), expected)


@pytest.mark.parametrize("form", ["2d", "4d bool", "4d additive"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_query_without_keys(form, dtype):
    """Context 0 and gradient 0, never NaN."""
    _, port = port_pair("DistilBertModel", "k16", dtype)
    ids = np.random.default_rng(0).integers(VOCAB, size=(3, LENGTH))
    mask = holey_mask(3)
    mask[2] = 0
    mask = mask.numpy() if form == "2d" else mask[:, None, None].bool().numpy()
    if form == "4d additive":
        mask = np.where(mask, 0, np.finfo(np.float32).min).astype(np.float32)
    attention = port.transformer.layer[0].attention
    inner = [lin.kernel.value for lin in (attention.q_lin, attention.k_lin, attention.v_lin)]
    inner += [attention.q_lin.bias.value, attention.k_lin.bias.value, attention.v_lin.bias.value]
    with tf.GradientTape() as tape:
        output = port(ids, mask, output_attentions=True)
        loss = tf.reduce_sum(tf.cast(output.last_hidden_state[2], tf.float32) ** 2)
    assert np.isfinite(output.last_hidden_state.numpy().astype("f4")).all()
    weights = output.attentions[0].numpy()
    assert (weights[2] == 0).all() and (weights[0] != 0).any()
    assert all((g.numpy() == 0).all() for g in tape.gradient(loss, inner))


def test_a_blocked_row_is_blocked_from_gradients_too():
    """The double where: one row blocked, and every gradient of the scores still finite."""
    query, key = (tf.random.normal((1, 3, 1, 4)) for _ in range(2))
    mask = tf.constant([[[[True, True, False], [False] * 3, [True] * 3]]])
    bias = tf.where(mask, 0.0, -np.inf)
    for given in (mask, bias):
        with tf.GradientTape() as tape:
            tape.watch([query, key])
            weights = attention_weights(query, key, given)
            total = tf.reduce_sum(weights * tf.random.normal(weights.shape))
        by_query, by_key = tape.gradient(total, [query, key])
        assert np.isfinite(by_query).all() and np.isfinite(by_key).all()
        assert (by_query.numpy()[0, 1] == 0).all() and (by_query.numpy()[0, 2] != 0).any()


def test_no_nan_on_the_way_either():
    """What `tf.debugging.enable_check_numerics` would stop a user's run at."""
    query = tf.random.normal((1, 3, 1, 4))
    mask = tf.constant([[[[True, True, False], [False] * 3, [True] * 3]]])
    tf.debugging.enable_check_numerics()
    try:
        with tf.GradientTape() as tape:
            tape.watch(query)
            total = tf.reduce_sum(attention_weights(query, query, mask) ** 2)
        assert np.isfinite(tape.gradient(total, query)).all()
    finally:
        tf.debugging.disable_check_numerics()


@torch.no_grad()
def test_head_masks(models):
    ours, port = models
    given = inputs("DistilBertModel")
    plain = ours(**given).last_hidden_state
    for mask in (torch.tensor([1.0, 0.0, 0.5]), torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 2.0]])):
        given["head_mask"] = mask
        expected = ours(**given, output_attentions=True)
        assert (expected.last_hidden_state - plain).abs().max() > 0.1
        assert_outputs_close(port(**arrays(given), output_attentions=True), expected)
