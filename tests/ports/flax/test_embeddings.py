"""New tables, fixed positions, and what the padding token learns."""

import pytest

pytest.importorskip("jax", reason="the port to JAX: pip install minidistil[jax]")
pytest.importorskip("flax", reason="the port to JAX: pip install minidistil[jax]")

import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from minidistil import DistilBertConfig
from minidistil.embeddings import sinusoidal_table
from minidistil.ports.flax import FlaxDistilBertForMaskedLM
from minidistil.ports.flax.embeddings import Embeddings, FixedPositions
from minidistil.ports.flax.layers import layer_norm

CONFIG = {"vocab_size": 300, "dim": 64, "n_heads": 2, "hidden_dim": 128, "n_layers": 2}


def test_new_weights():
    """N(0, initializer_range), biases 0, LayerNorm 1 and 0, the padding row 0."""
    config = DistilBertConfig(**CONFIG, pad_token_id=3, initializer_range=0.5)
    model = FlaxDistilBertForMaskedLM(config, rngs=nnx.Rngs(0))
    assert model.vocab_projector.embedding is model.encoder.embeddings.word_embeddings.embedding
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        value = np.array(leaf[...])
        if path[-1] == "bias":
            assert (value == 0).all()
        elif path[-1] == "scale":
            assert (value == 1).all()
        else:
            if "word_embeddings" in path:
                assert (value[3] == 0).all()
                value = np.delete(value, 3, axis=0)
            assert abs(value.std() - 0.5) < 0.02 and abs(value.mean()) < 0.03, path
    again = FlaxDistilBertForMaskedLM(config, rngs=nnx.Rngs(1))
    kernels = (m.vocab_transform.kernel[...] for m in (model, again))
    assert not jnp.array_equal(*kernels)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_fixed_positions_are_the_table_and_no_parameter(dtype):
    config = DistilBertConfig(**CONFIG, sinusoidal_pos_embds=True, dtype=dtype)
    embeddings = Embeddings(config, rngs=nnx.Rngs(0))
    fixed = embeddings.position_embeddings.embedding
    assert type(fixed) is FixedPositions and fixed.dtype == dtype
    assert jnp.array_equal(fixed[...], sinusoidal_table(512, 64).numpy().astype(fixed.dtype))
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(embeddings, nnx.Param))]
    assert len(paths) == 3 and not any("position_embeddings" in path for path in paths)


def test_the_only_row_of_a_table_stands_for_no_other():
    """A table of one row needs no look-up; flax returns it whatever the id."""
    embeddings = Embeddings(DistilBertConfig(**CONFIG | {"vocab_size": 1}), rngs=nnx.Rngs(0))
    result = nnx.jit(lambda e, ids: e(ids, None, jnp.arange(3)[None]))(
        embeddings, jnp.array([[0, 1, -1]])
    )
    assert jnp.isnan(result).all(-1).tolist() == [[False, True, True]]


def test_the_padding_row_learns_nothing():
    embeddings = Embeddings(DistilBertConfig(**CONFIG, pad_token_id=3), rngs=nnx.Rngs(0))
    ids = jnp.array([[1, 3, 2, 3]])
    places = jnp.arange(4)[None]
    gradient = nnx.grad(lambda e: (e(ids, None, places)[..., 0] ** 2).sum())(embeddings)
    rows = gradient.word_embeddings.embedding[...]
    assert (rows[3] == 0).all() and (rows[1] != 0).any() and (rows[2] != 0).any()
    assert (gradient.position_embeddings.embedding[1] != 0).any()


def test_layer_norm_is_exact_far_from_zero():
    """E[x^2] - E[x]^2 would lose all digits here: 1e8 + 1 is 1e8 in float32."""
    norm = layer_norm(DistilBertConfig(dim=64, n_heads=2), nnx.Rngs(0))
    assert norm.epsilon == 1e-12
    x = torch.randn(3, 64) + 1e4
    expected = torch.nn.functional.layer_norm(x.double(), (64,))
    np.testing.assert_allclose(norm(jnp.array(x.numpy())), expected, atol=2e-3)
    assert norm(jnp.ones((1, 64), jnp.bfloat16)).dtype == jnp.float32
