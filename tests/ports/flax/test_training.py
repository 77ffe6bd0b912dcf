"""Gradients, training steps, and dropout."""

import pytest

pytest.importorskip("jax", reason="the port to JAX: pip install minidistil[jax]")
pytest.importorskip("flax", reason="the port to JAX: pip install minidistil[jax]")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx

import minidistil
from minidistil import DistilBertConfig
from minidistil.ports import flax as ports
from tests.helpers.reference import CLASSES, CONFIGS, inputs, labels
from tests.helpers.tolerances import assert_gradients_close
from tests.ports.flax.models import named_gradients, port_pair, same, weights
from tests.ports.parity import arrays, ported

CLASSIFIER = "DistilBertForSequenceClassification"
# Quick: what has parameters of its own kind. All else is slow to compile.
QUICK = [
    ("DistilBertForMaskedLM", "k32-sinusoidal"),
    ("DistilBertForMaskedLM", "k80-untied"),
    ("DistilBertForQuestionAnswering", "k16"),
]
CASES = [
    pytest.param(cls, name, marks=() if (cls, name) in QUICK else pytest.mark.slow)
    for cls in CLASSES
    for name in CONFIGS
]


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_every_gradient(cls, name):
    """In float64, against the PyTorch class; with padding tokens, which teach their row nothing."""
    with jax.enable_x64(True):
        ours, port = port_pair(cls, name, torch.float64)
        given = inputs(cls)
        given["input_ids"][..., 2] = 0
        direction = torch.randn(*given["input_ids"].shape, ours.config.dim, dtype=torch.float64)
        if cls == "DistilBertModel":
            (ours(**given).last_hidden_state * direction).sum().backward()

            def loss(model, given):
                return (model(**given).last_hidden_state * direction.numpy()).sum()
        else:
            given |= labels(cls)
            ours(**given).loss.backward()

            def loss(model, given):
                return model(**given).loss

        actual = named_gradients(nnx.jit(nnx.grad(loss))(port, arrays(given)))
    expected = {n: p.grad for n, p in ours.named_parameters() if p.requires_grad}
    assert_gradients_close(actual, expected)


def test_float64_does_not_leak():
    assert jnp.zeros(1).dtype == jnp.float32


@pytest.mark.parametrize(
    "cls", ["DistilBertForMaskedLM", pytest.param(CLASSIFIER, marks=pytest.mark.slow)]
)
def test_training_lowers_the_loss(cls):
    """An optimizer over the parameters; the tied table stays one, the fixed positions stay."""
    _, port = port_pair(cls, "k16", dropout=0.05, sinusoidal_pos_embds=True)
    given = arrays(inputs(cls) | labels(cls))
    optimizer = nnx.Optimizer(port, optax.adamw(3e-3), wrt=nnx.Param)
    before = weights(port)
    fixed = np.array(port.encoder.embeddings.position_embeddings.embedding[...])

    @nnx.jit
    def step(model, optimizer, given):
        loss, gradients = nnx.value_and_grad(lambda m: m(**given, train=True).loss)(model)
        optimizer.update(model, gradients)
        return loss

    first = float(port(**given).loss)
    losses = [float(step(port, optimizer, given)) for _ in range(20)]
    assert float(port(**given).loss) < 0.3 * first, losses
    assert len({*losses}) == 20
    moved = [not same(x, y) for x, y in zip(before, weights(port), strict=True)]
    assert all(moved)
    assert same(port.encoder.embeddings.position_embeddings.embedding[...], fixed)
    if cls == "DistilBertForMaskedLM":
        words = port.encoder.embeddings.word_embeddings.embedding
        assert port.vocab_projector.embedding is words


def test_evaluation_draws_nothing():
    """Dropout of 0.9 changes nothing, whatever nnx's own switch says, and no key is used up."""
    _, port = port_pair(CLASSIFIER, "k16", dropout=0.9, attention_dropout=0.9)
    given = arrays(inputs(CLASSIFIER))
    expected = port(**given).logits
    counts = jax.tree.leaves(nnx.state(port, nnx.RngCount))
    port.train()
    assert same(port(**given).logits, expected)
    assert all(same(x, 0) for x in counts) and len(counts) == 4
    port.eval()
    assert not same(port(**given, train=True).logits, expected)


def test_dropout_follows_the_rngs():
    _, port = port_pair("DistilBertModel", "k16", dropout=0.5)
    ids = jnp.ones((2, 5), int)
    run = nnx.jit(lambda model: model(ids, train=True).last_hidden_state)
    twin = nnx.clone(port)
    first, second = run(port), run(port)
    assert not same(first, second)  # the call has moved the random numbers on
    assert same(run(twin), first) and same(run(twin), second)
    assert not same(first[0], first[1])  # every row its own


PLACES = {
    "embeddings": ("dropout", "DistilBertModel", lambda m: m.embeddings.dropout),
    "weights": (
        "attention_dropout",
        "DistilBertModel",
        lambda m: m.transformer.layer[1].attention.dropout,
    ),
    "feed-forward": ("dropout", "DistilBertModel", lambda m: m.transformer.layer[1].ffn.dropout),
    "classifier": ("seq_classif_dropout", CLASSIFIER, lambda m: m.dropout),
    "choices": ("seq_classif_dropout", "DistilBertForMultipleChoice", lambda m: m.dropout),
    "tokens": ("dropout", "DistilBertForTokenClassification", lambda m: m.dropout),
    "answers": ("qa_dropout", "DistilBertForQuestionAnswering", lambda m: m.dropout),
}


@pytest.mark.parametrize("place", PLACES)
def test_dropout_is_in_its_place_with_its_probability(place):
    """What goes into each dropout is dropped at the config's rate, and only while training."""
    field, cls, find = PLACES[place]
    rates = {"dropout": 0, "attention_dropout": 0, "seq_classif_dropout": 0, "qa_dropout": 0}
    shape = {"vocab_size": 30, "n_layers": 2, "dim": 64, "n_heads": 2, "hidden_dim": 16}
    config = DistilBertConfig(**shape, **(rates | {field: 0.3}))
    port = ported(getattr(ports, f"Flax{cls}"), getattr(minidistil, cls)(config))
    dropout, seen = find(port), []

    class Recorder(nnx.Module):
        """In place of the dropout: notes what it does."""

        def __call__(self, x, *, deterministic):
            result = dropout(x, deterministic=deterministic)
            seen.append((x, result))
            return result

    for module in (m for _, m in nnx.iter_modules(port)):
        for name, value in vars(module).items():
            if value is dropout:
                setattr(module, name, Recorder())
                break
    ids = jnp.arange(480).reshape((8, 2, 30) if place == "choices" else (16, 30)) % 30
    port(ids)
    port(ids, train=True)
    (x, kept), (y, thinned) = seen
    assert same(x, kept)
    dropped = (thinned == 0) & (y != 0)
    assert abs(dropped.sum() / (y != 0).sum() - 0.3) < 0.06
    np.testing.assert_allclose(thinned[~dropped], y[~dropped] / 0.7, rtol=1e-6)


def test_training_reaches_every_dropout():
    """One in the embeddings, two a block, one in a head; each draws once a call."""
    config = DistilBertConfig(
        vocab_size=9, n_layers=3, dim=8, n_heads=2, hidden_dim=9, initializer_range=0
    )
    for cls in CLASSES:
        port = getattr(ports, f"Flax{cls}")(config, rngs=nnx.Rngs(0))
        port(
            jnp.ones((1, 2, 4) if cls == "DistilBertForMultipleChoice" else (2, 4), int), train=True
        )
        draws = jax.tree.leaves(nnx.state(port, nnx.RngCount))
        expected = 7 + (cls not in ("DistilBertModel", "DistilBertForMaskedLM"))
        assert [int(count) for count in draws] == [1] * expected, cls
