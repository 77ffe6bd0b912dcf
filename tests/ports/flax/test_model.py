"""The flax models against the PyTorch ones: every output of every class."""

import pytest

pytest.importorskip("jax", reason="the port to JAX: pip install minidistil[jax]")
pytest.importorskip("flax", reason="the port to JAX: pip install minidistil[jax]")

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from transformers import BatchEncoding

from minidistil import DistilBertConfig
from minidistil.ports.flax import FlaxDistilBertForMaskedLM, FlaxDistilBertModel
from minidistil.ports.outputs import AnswerOutput, EncoderOutput, HeadOutput
from tests.helpers.reference import (
    BATCH,
    LENGTH,
    POSITIONS,
    VOCAB,
    inputs,
    labels,
)
from tests.helpers.tolerances import assert_close
from tests.ports.flax.models import port_pair, run, same
from tests.ports.parity import (
    ALL,
    CASES,
    arrays,
    assert_outputs_close,
    assert_same_order,
    ported,
    tensor,
)

CLASSIFIER = "DistilBertForSequenceClassification"


@pytest.fixture(scope="module")
def encoder():
    return port_pair("DistilBertModel", "k32-sinusoidal")


@pytest.mark.parametrize(("cls", "name"), CASES)
@torch.no_grad()
def test_all_outputs(cls, name):
    """In float32, held against PyTorch in float64, rounded once.

    With weights this large, PyTorch's own float32 is up to 1.2e-5 from its float64 (at width 128,
    where JAX is 6.7e-6 from it): a bound on the difference of the two would test luck.
    """
    ours, port = port_pair(cls, name)
    given = inputs(cls) | (labels(cls) if cls != "DistilBertModel" else {})
    exact = ours.double()(**given, **ALL)
    expected = {field: jax.tree.map(torch.Tensor.float, exact[field]) for field in exact}
    assert_outputs_close(run(port, arrays(given)), expected)


@torch.no_grad()
def test_arguments_stand_in_the_same_order():
    for cls in ("DistilBertModel", CLASSIFIER, "DistilBertForQuestionAnswering"):
        assert_same_order(cls, *port_pair(cls, "k16"))


@torch.no_grad()
def test_the_config_decides_what_nobody_asked_for():
    _, port = port_pair("DistilBertForMaskedLM", "k16", **ALL, return_dict=False)
    given = arrays(inputs("DistilBertForMaskedLM"))
    logits, states, attentions = port(**given)
    assert len(states) == 2 and attentions[0].shape == (BATCH, 2, LENGTH, LENGTH)
    output = port(**given, output_attentions=False, output_hidden_states=False, return_dict=True)
    assert list(output) == ["logits"] and same(output.logits, logits)


@torch.no_grad()
def test_position_ids_and_inputs_embeds(encoder):
    ours, port = encoder
    given = inputs("DistilBertModel")
    embeds = ours.get_input_embeddings()(given.pop("input_ids"))
    for shape in ((BATCH, LENGTH), (1, LENGTH)):
        given["position_ids"] = torch.randint(POSITIONS, shape)
        actual = port(inputs_embeds=embeds.numpy(), **arrays(given))
        assert_outputs_close(actual, ours(inputs_embeds=embeds, **given))


@torch.no_grad()
def test_embedded_choices():
    cls = "DistilBertForMultipleChoice"
    ours, port = port_pair(cls, "k16")
    given = inputs(cls)
    embeds = ours.get_input_embeddings()(given.pop("input_ids"))
    actual = port(inputs_embeds=embeds.numpy(), **arrays(given), return_dict=False)
    assert_close(tensor(actual[0]), ours(inputs_embeds=embeds, **given, return_dict=False)[0])


@pytest.mark.parametrize("cls", ["DistilBertModel", CLASSIFIER, "DistilBertForQuestionAnswering"])
def test_compiled_equals_eager(cls):
    """And compiled functions return the typed results: one class for each of their kinds."""
    _, port = port_pair(cls, "k16")
    given = inputs(cls) | (labels(cls) if cls != "DistilBertModel" else {})
    expected = port(**arrays(given), **ALL)
    actual = run(port, arrays(given))
    assert isinstance(actual, EncoderOutput | HeadOutput | AnswerOutput)
    assert type(actual) is type(expected)
    assert_outputs_close(actual, {k: jax.tree.map(tensor, v) for k, v in expected.items()})
    assert jax.tree.structure(jax.tree.map(jnp.ones_like, actual)) == jax.tree.structure(actual)


def test_split_and_merged_under_jax_jit(encoder):
    """JAX's own compiler: the model as its structure, which must be hashed, and its arrays."""
    ours, port = encoder
    given = arrays(inputs("DistilBertModel"))
    structure, state = nnx.split(port)
    encode = jax.jit(lambda s, **kw: nnx.merge(structure, s)(**kw).last_hidden_state)
    assert_close(tensor(encode(state, **given)), tensor(port(**given).last_hidden_state))
    again = nnx.split(ported(FlaxDistilBertModel, ours))[0]
    assert again == structure and hash(again) == hash(structure)


@torch.no_grad()
def test_inputs_of_every_kind(encoder):
    ours, port = encoder
    ids = torch.randint(VOCAB, (2, 5))
    expected = port(jnp.array(ids.numpy())).last_hidden_state
    assert_close(tensor(expected), ours(ids).last_hidden_state)
    for given in (ids.numpy(), ids.tolist(), ids, ids.int().numpy()):
        assert same(port(given).last_hidden_state, expected)
    assert same(port(ids.numpy(), token_type_ids=np.ones((2, 5))).last_hidden_state, expected)


@torch.no_grad()
@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (1, 1)])
def test_empty_and_short(encoder, shape):
    ours, port = encoder
    ids, mask = torch.ones(shape).long(), torch.ones(shape)
    assert_outputs_close(port(ids.numpy(), mask.numpy(), **ALL), ours(ids, mask, **ALL))


BAD = [
    ({}, "exactly one of input_ids and inputs_embeds"),
    ({"input_ids": [[1]], "inputs_embeds": np.ones((1, 1, 96))}, "exactly one"),
    ({"input_ids": [1, 2]}, r"input_ids has shape \(2,\), expected \(batch, length\)"),
    ({"input_ids": [[1.0]]}, "input_ids must be int32 or int64, not float32"),
    ({"input_ids": [[VOCAB]]}, "input_ids holds 61, expected 0 to 60: the tokenizer does"),
    ({"input_ids": [[3, -1]]}, "input_ids holds -1, expected 0 to 60"),
    ({"inputs_embeds": np.ones((1, 2, 95))}, r"shape \(1, 2, 95\), expected \(batch, length, 96\)"),
    ({"input_ids": [[1] * 25]}, "of 25 tokens is longer than max_position_embeddings=24"),
    ({"input_ids": [[1]], "position_ids": [[24]]}, "position_ids holds 24, expected 0 to 23"),
    ({"input_ids": [[1]], "position_ids": [[0, 1]]}, r"position_ids has shape \(1, 2\), the input"),
    ({"input_ids": [[1]], "position_ids": [[0.0]]}, "position_ids must be int32 or int64"),
    ({"input_ids": [[1, 2]], "attention_mask": [[1]]}, r"\(1, 1\), but the input .* \(1, 2\)"),
    ({"input_ids": [[1, 2]], "attention_mask": [[[1, 1]]]}, r"broadcastable .* = \(1, 3, 2, 2\)"),
    ({"input_ids": [[1]], "attention_mask": [[[[1]]]]}, "could mean either kind"),
    ({"input_ids": [[1]], "head_mask": [1, 1]}, r"head_mask has shape \(2,\); it must"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), BAD)
def test_inputs_that_make_no_sense(encoder, given, message):
    with pytest.raises(ValueError, match=message):
        encoder[1](**given)


@pytest.mark.parametrize(("given", "message"), [b for b in BAD if "holds" not in b[1]])
def test_shapes_are_checked_while_compiling(encoder, given, message):
    given = {name: np.array(value) for name, value in given.items()}
    given = {k: v.astype(np.float32) if v.dtype == float else v for k, v in given.items()}
    with pytest.raises(ValueError, match=message):
        run(encoder[1], given)


@pytest.mark.parametrize("wrong", [-1, -VOCAB, VOCAB])
@pytest.mark.parametrize("name", ["input_ids", "position_ids"])
def test_a_wrong_id_in_a_compiled_function_is_nan_and_no_other_row(encoder, name, wrong):
    """There are no values to look at; what comes out can't be taken for right."""
    given = {"input_ids": jnp.ones((2, 2), int), "position_ids": jnp.array([[0, 1], [0, 1]])}
    given[name] = given[name].at[0, 1].set(wrong)
    states = run(encoder[1], given).last_hidden_state
    assert jnp.isnan(states[0]).all() and not jnp.isnan(states[1]).any()


@pytest.mark.parametrize("name", ["input_ids", "position_ids", "attention_mask"])
@pytest.mark.parametrize("kind", [np.array, torch.tensor, list, lambda rows: [np.array(rows[0])]])
def test_an_integer_that_jax_would_wrap(encoder, name, kind):
    """JAX takes the int64 of others modulo 2**32: this would be the id, or the place, 3."""
    given = {"input_ids": [[1, 1]]} | {name: kind([[2**32 + 3, 1]])}
    with pytest.raises(ValueError, match=f"{name} holds 4294967299, which does not fit in int32"):
        encoder[1](**given)


def test_an_integer_that_jax_holds(encoder):
    with jax.enable_x64(True), pytest.raises(ValueError, match="holds 4294967299, expected 0 to"):
        encoder[1](np.array([[2**32 + 3]]))


@pytest.mark.parametrize("given", [{"input_ids": [[1]]}, BatchEncoding({"input_ids": [[1]]}), "a"])
def test_all_inputs_at_once_or_a_text(encoder, given):
    message = rf"input_ids is a {type(given).__name__}, not an array: .* model\(\*\*inputs\)"
    with pytest.raises(TypeError, match=message):
        encoder[1](given)


def test_lists_of_tracers_and_variables(encoder):
    """Compiled, they have no values that NumPy could look at."""
    expected = encoder[1]([[3, 4]]).last_hidden_state
    encode = nnx.jit(lambda a, b, m: encoder[1]([[a, b]], head_mask=m).last_hidden_state)
    assert_close(tensor(encode(3, 4, nnx.Param(jnp.ones(3)))), tensor(expected))


def test_embeddings_of_a_wider_dtype(encoder):
    wide = np.random.default_rng(0).random((1, 2, 96))
    result = encoder[1](inputs_embeds=wide).last_hidden_state
    assert same(result, encoder[1](inputs_embeds=wide.astype(np.float32)).last_hidden_state)
    with jax.enable_x64(True), pytest.raises(ValueError, match="embeds is float64, wider than the"):
        encoder[1](inputs_embeds=wide)
    config = DistilBertConfig(
        vocab_size=9, n_layers=1, dim=8, n_heads=2, initializer_range=0, dtype="bfloat16"
    )
    model = FlaxDistilBertModel(config, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="inputs_embeds is float32, wider than the model's bf"):
        model(inputs_embeds=jnp.ones((1, 2, 8)))
    narrow = jnp.ones((1, 2, 8), jnp.bfloat16)
    assert model(inputs_embeds=narrow).last_hidden_state.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("dtype", "bound"), [("bfloat16", 0.2), pytest.param("float16", 0.03, marks=pytest.mark.slow)]
)
@torch.no_grad()
def test_half_precision_is_near(dtype, bound):
    """Weights and results in it; softmax, LayerNorm and the loss in float32."""
    cls = "DistilBertForMaskedLM"
    given = inputs(cls) | labels(cls)
    ours, port = port_pair(cls, "k16", getattr(torch, dtype))
    output, exact = port(**arrays(given)), ours.float()(**given)
    assert output.logits.dtype == dtype and output.loss.dtype == jnp.float32
    difference = tensor(output.logits.astype(jnp.float32)) - exact.logits
    assert 0 < difference.abs().max() < bound * exact.logits.abs().max()
    assert abs(float(output.loss) - exact.loss) < bound


def test_a_model_without_a_head_has_no_encoder_of_its_own():
    config = DistilBertConfig(vocab_size=9, n_layers=1, dim=8, n_heads=2, initializer_range=0)
    head = FlaxDistilBertForMaskedLM(config, rngs=nnx.Rngs(0))
    assert head.encoder is head.distilbert and head.encoder.config is head.config
    assert head.config is not config and head.config == config
