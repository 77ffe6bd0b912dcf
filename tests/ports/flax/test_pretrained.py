"""Checkpoints in and out: the bits of the weights, names, dtypes, new heads, warnings."""

import json
import warnings

import pytest

pytest.importorskip("jax", reason="the port to JAX: pip install minidistil[jax]")
pytest.importorskip("flax", reason="the port to JAX: pip install minidistil[jax]")

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers
from flax import nnx

import minidistil
from minidistil import DistilBertConfig
from minidistil.ports import flax as ports
from tests.helpers.reference import CLASSES, inputs, pair
from tests.helpers.tolerances import assert_close
from tests.ports.flax.models import port_pair, same, weights
from tests.ports.parity import arrays, tensor

SMALL = {"vocab_size": 11, "n_layers": 2, "dim": 8, "n_heads": 2, "hidden_dim": 12}


def small(cls, **fields):
    return getattr(minidistil, cls)(DistilBertConfig(**SMALL, **fields))


def saved_state(port, cls, folder):
    """What the PyTorch class makes of the port's files; no key is missing or left over."""
    port.save_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, info = getattr(minidistil, cls).from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    return model.state_dict()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("cls", CLASSES)
def test_the_same_bits_there_and_back(cls, dtype, tmp_path):
    model = small(cls).to(getattr(torch, dtype))
    model.save_pretrained(tmp_path / "torch")
    port = getattr(ports, f"Flax{cls}").from_pretrained(tmp_path / "torch")
    assert port.dtype == dtype and {w.dtype for w in weights(port)} == {port.dtype}
    again = saved_state(port, cls, tmp_path / "flax")
    expected = model.state_dict()
    assert again.keys() == expected.keys()
    for name, value in expected.items():
        assert again[name].dtype == value.dtype and torch.equal(again[name], value), name
    configs = [json.loads((tmp_path / f / "config.json").read_text()) for f in ("torch", "flax")]
    assert configs[0] == configs[1]


@torch.no_grad()
@pytest.mark.parametrize("cls", ["DistilBertForMaskedLM", "DistilBertForQuestionAnswering"])
def test_transformers_loads_what_the_port_saved(cls, tmp_path):
    _, port = port_pair(cls, "k16")
    port.save_pretrained(tmp_path)
    theirs = getattr(transformers, cls).from_pretrained(tmp_path, attn_implementation="eager")
    given = inputs(cls)
    assert_close(tensor(port(**arrays(given))[0]), theirs(**given)[0])


@pytest.mark.parametrize("fields", [{"tie_word_embeddings": False}, {"sinusoidal_pos_embds": True}])
def test_untied_and_sinusoidal_models(fields, tmp_path):
    cls = "DistilBertForMaskedLM"
    model = small(cls, **fields)
    model.save_pretrained(tmp_path / "torch")
    port = ports.FlaxDistilBertForMaskedLM.from_pretrained(tmp_path / "torch")
    again = saved_state(port, cls, tmp_path / "flax")
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())
    words = port.encoder.embeddings.word_embeddings.embedding
    assert (port.vocab_projector.embedding is words) == port.config.tie_word_embeddings
    for only in (False, True):
        assert port.num_parameters(only) == model.num_parameters(only)


def test_a_new_model_is_saved_too(tmp_path):
    config = DistilBertConfig(**SMALL, pruned_heads={1: [0]}, id2label={0: "no", 1: "yes"})
    port = ports.FlaxDistilBertForTokenClassification(config, rngs=nnx.Rngs(0))
    state = saved_state(port, "DistilBertForTokenClassification", tmp_path)
    assert state["distilbert.transformer.layer.1.attention.q_lin.weight"].shape == (4, 8)
    assert np.array_equal(state["classifier.weight"].T, port.classifier.kernel[...])
    assert port.config.id2label == {0: "no", 1: "yes"} and port.config.dtype is None


def test_the_published_number_of_parameters():
    port = nnx.eval_shape(
        lambda: ports.FlaxDistilBertForMaskedLM(DistilBertConfig(), rngs=nnx.Rngs(0))
    )
    assert port.num_parameters() == 66_985_530


@pytest.mark.parametrize("dtype", ["bfloat16", jnp.bfloat16, np.float16])
def test_a_dtype_of_choice(dtype, tmp_path):
    model = small("DistilBertModel")
    model.save_pretrained(tmp_path)
    port = ports.FlaxDistilBertModel.from_pretrained(tmp_path, dtype=dtype)
    assert port.dtype == jnp.dtype(dtype) and port.config.dtype == jnp.dtype(dtype).name
    expected = jnp.asarray(model.get_input_embeddings().weight.detach().numpy(), dtype)
    assert same(port.embeddings.word_embeddings.embedding[...], expected)
    assert port(jnp.ones((1, 2), int)).last_hidden_state.dtype == port.dtype


def test_float64_only_where_jax_has_it(tmp_path):
    model = small("DistilBertModel").double()
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="weights are float64, which JAX .*jax_enable_x64"):
        ports.FlaxDistilBertModel.from_pretrained(tmp_path)
    assert ports.FlaxDistilBertModel.from_pretrained(tmp_path, dtype="float32").dtype == "float32"
    with jax.enable_x64(True):
        port = ports.FlaxDistilBertModel.from_pretrained(tmp_path)
        ids = torch.tensor([[1, 2, 3]])
        actual = port(ids.numpy()).last_hidden_state
        assert_close(tensor(actual), model.eval()(ids).last_hidden_state)


def test_new_heads_are_drawn_from_rngs_and_warned_of(tmp_path):
    small("DistilBertForMaskedLM", initializer_range=0.5).save_pretrained(tmp_path)
    load = ports.FlaxDistilBertForSequenceClassification.from_pretrained
    before = torch.get_rng_state()
    message = "FlaxDistilBertForSequenceClassification from .*: new weights.*: classifier.bias, cla"
    with pytest.warns(UserWarning, match=message) as caught:
        port = load(tmp_path, num_labels=3)
    assert caught[0].filename == __file__
    assert torch.equal(torch.get_rng_state(), before)
    assert (port.classifier.bias[...] == 0).all() and 0.2 < port.classifier.kernel[...].std() < 0.8
    assert port.config.num_labels == 3 and port.config.initializer_range == 0.5
    again, info = load(tmp_path, num_labels=3, output_loading_info=True)
    assert "classifier.weight" in info["missing_keys"]
    assert "vocab_projector.bias" in info["unexpected_keys"]
    assert same(again.classifier.kernel[...], port.classifier.kernel[...])
    other, _ = load(tmp_path, num_labels=3, output_loading_info=True, rngs=nnx.Rngs(1))
    assert not same(other.classifier.kernel[...], port.classifier.kernel[...])


def test_shapes_that_do_not_fit(tmp_path):
    small("DistilBertForSequenceClassification").save_pretrained(tmp_path)
    load = ports.FlaxDistilBertForSequenceClassification.from_pretrained
    with pytest.raises(ValueError, match="ignore_mismatched_sizes=True"):
        load(tmp_path, num_labels=3)
    port, info = load(
        tmp_path, num_labels=3, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert info["mismatched_keys"] == ["classifier.bias", "classifier.weight"]
    assert port.classifier.kernel.shape == (8, 3) and port.classifier.kernel[...].any()


def test_keywords(tmp_path):
    load = ports.FlaxDistilBertModel.from_pretrained
    small("DistilBertModel").save_pretrained(tmp_path)
    with pytest.raises(TypeError, match="unexpected keyword argument 'dropuot'"):
        load(tmp_path, dropuot=0.1)
    with pytest.raises(TypeError, match=r"jax\.default_device, not device="):
        load(tmp_path, device="cpu")
    with pytest.raises(ValueError, match="'int8' is not a dtype of weights"):
        load(tmp_path, dtype="int8")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing", local_files_only=True)
    assert load(tmp_path, output_attentions=True)(jnp.ones((1, 2), int)).attentions is not None


def test_other_ways_to_compute_are_refused(tmp_path):
    """And not taken and ignored; a checkpoint does not name any, whoever saved it."""
    load = ports.FlaxDistilBertModel.from_pretrained
    small("DistilBertModel", attn_implementation="eager").save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    saved = json.loads(file.read_text()) | {"attn_implementation": "flash_attention_2"}
    file.write_text(json.dumps(saved | {"_attn_implementation": "sdpa"}))
    for right in ({}, {"attn_implementation": None}, {"attn_implementation": "eager"}):
        assert load(tmp_path, **right).config.dim == 8
    for wrong in ({"attn_implementation": "triton"}, {"attn_implementation": "sdpa"}):
        with pytest.raises(
            ValueError, match=r"attn_implementation='.*' is PyTorch's alone: leave it"
        ):
            load(tmp_path, **wrong)
    assert load(tmp_path, layer_ops="torch").config.dim == 8
    with pytest.raises(ValueError, match="layer_ops='triton' is PyTorch's alone: leave it"):
        load(tmp_path, layer_ops="triton")


@pytest.mark.parametrize(
    ("rngs", "error", "message"),
    [
        (0, TypeError, r"rngs is a int, not nnx.Rngs: nnx.Rngs\(0\) makes one"),
        (jax.random.key(0), TypeError, "rngs is a PRNGKeyArray, not nnx.Rngs"),
        (
            nnx.Rngs(params=0),
            ValueError,
            r"streams \['params'\], but params .* and dropout are need",
        ),
        (nnx.Rngs(dropout=0), ValueError, r"streams \['dropout'\], but params"),
    ],
)
def test_rngs_that_cannot_draw(rngs, error, message, tmp_path):
    config = DistilBertConfig(**SMALL)
    for cls in (ports.FlaxDistilBertModel, ports.FlaxDistilBertForMaskedLM):
        with pytest.raises(error, match=message):
            cls(config, rngs=rngs)
    small("DistilBertModel").save_pretrained(tmp_path)
    with pytest.raises(error, match=message):
        ports.FlaxDistilBertModel.from_pretrained(tmp_path, rngs=rngs)


def test_rngs_with_the_two_streams_by_name():
    rngs = nnx.Rngs(params=0, dropout=1)
    model = ports.FlaxDistilBertModel(DistilBertConfig(**SMALL), rngs=rngs)
    assert model.embeddings.word_embeddings.embedding[...].any()


def test_the_weights_are_the_models_own(tmp_path):
    """Not views of the memory of the PyTorch model that read them."""
    _, model = pair("DistilBertModel", "k16")
    model.save_pretrained(tmp_path)
    one, two = (ports.FlaxDistilBertModel.from_pretrained(tmp_path) for _ in range(2))
    one.embeddings.LayerNorm.scale[...] = jnp.zeros(32)
    assert two.embeddings.LayerNorm.scale[...].all()
