"""The Keras models against the PyTorch ones: every output of every class."""

import pytest

pytest.importorskip(
    "minidistil.ports.tensorflow",
    reason="the port to Keras: pip install minidistil[tensorflow]",
    exc_type=ModuleNotFoundError,
)

import keras
import numpy as np
import torch

from minidistil import DistilBertConfig
from minidistil.config import ACTIVATIONS
from minidistil.ports.tensorflow import TFDistilBertForMaskedLM, TFDistilBertModel
from minidistil.ports.tensorflow.outputs import AnswerOutput, EncoderOutput, HeadOutput
from tests.helpers.reference import (
    BATCH,
    CLASSES,
    LENGTH,
    POSITIONS,
    VOCAB,
    inputs,
    labels,
)
from tests.ports.parity import (
    ALL,
    CASES,
    arrays,
    assert_outputs_close,
    assert_same_order,
    ported,
)
from tests.ports.tensorflow.models import port_pair


@pytest.fixture(scope="module")
def encoder():
    return port_pair("DistilBertModel", "k32-sinusoidal")


@pytest.mark.parametrize(("cls", "name"), CASES)
@torch.no_grad()
def test_all_outputs(cls, name):
    # 128 wide, PyTorch's own float32 is up to 1.3e-5 from its float64: 1e-5 would test luck.
    dtype = torch.float64 if name == "k128-chunked" else torch.float32
    ours, port = port_pair(cls, name, dtype)
    given = inputs(cls) | (labels(cls) if cls != "DistilBertModel" else {})
    assert_outputs_close(port(**arrays(given), **ALL), ours(**given, **ALL))
    assert port.count_params() == ours.num_parameters()


@torch.no_grad()
def test_arguments_stand_in_the_same_order():
    for cls in CLASSES:
        assert_same_order(cls, *port_pair(cls, "k16"))


def test_a_mapping_of_inputs_is_unpacked(encoder):
    _, port = encoder
    given = arrays(inputs("DistilBertModel"))
    expected = port(given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
    got = port(given | {"token_type_ids": np.ones((BATCH, LENGTH), int)}, output_attentions=True)
    assert len(got.attentions) == 2
    assert np.array_equal(got.last_hidden_state, expected)
    for_keras = port({name: keras.ops.cast(value, "int32") for name, value in given.items()})
    assert np.array_equal(for_keras.last_hidden_state, expected)
    with pytest.raises(TypeError, match="cu_seqlens"):
        port(given | {"cu_seqlens": np.array([0, 4])})


def test_the_config_decides_what_nobody_asked_for():
    _, port = port_pair("DistilBertForMaskedLM", "k16", **ALL, return_dict=False)
    given = arrays(inputs("DistilBertForMaskedLM"))
    logits, states, attentions = port(**given)
    assert len(states) == 2 and attentions[0].shape == (BATCH, 2, LENGTH, LENGTH)
    output = port(**given, output_attentions=False, output_hidden_states=False, return_dict=True)
    assert list(output) == ["logits"] and np.array_equal(output.logits, logits)


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
def test_embedded_choices_with_positions():
    cls = "DistilBertForMultipleChoice"
    ours, port = port_pair(cls, "k16")
    given = inputs(cls)
    given["position_ids"] = torch.randint(POSITIONS, tuple(given["input_ids"].shape))
    embeds = ours.get_input_embeddings()(given.pop("input_ids"))
    actual = port(inputs_embeds=embeds.numpy(), **arrays(given))
    assert_outputs_close(actual, ours(inputs_embeds=embeds, **given))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@torch.no_grad()
def test_activations(activation):
    ours, port = port_pair("DistilBertForMaskedLM", "k16", activation=activation)
    given = inputs("DistilBertForMaskedLM")
    assert_outputs_close(port(**arrays(given)), ours(**given))


@torch.no_grad()
def test_pruned_heads():
    ours, _ = port_pair("DistilBertModel", "k32-sinusoidal")
    ours.prune_heads({0: [0], 1: [0, 2]})
    port = ported(TFDistilBertModel, ours)
    assert port.transformer.layer[1].attention.q_lin.kernel.shape == (96, 32)
    mask = torch.rand(BATCH, 3, LENGTH, LENGTH) > 0.4
    given = {"input_ids": inputs("DistilBertModel")["input_ids"], "attention_mask": mask}
    given["head_mask"] = torch.tensor([0.3, 1.0, 0.6])
    assert_outputs_close(port(**arrays(given), **ALL), ours(**given, **ALL))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ValueError, "exactly one"),
        ({"input_ids": np.zeros(3, int)}, ValueError, r"\(3,\), expected \(batch, length\)"),
        ({"input_ids": [[1, 2]]}, TypeError, "input_ids is a list"),
        ({"input_ids": np.zeros((1, 3))}, ValueError, "int32 or int64, not float64"),
        ({"input_ids": np.full((1, 3), VOCAB)}, ValueError, "input_ids holds 61, expected 0 to 60"),
        ({"input_ids": np.full((1, 3), -1)}, ValueError, "input_ids holds -1"),
        ({"input_ids": np.zeros((1, 25), int)}, ValueError, "25 tokens is longer"),
        ({"inputs_embeds": np.zeros((1, 3, 31), "f4")}, ValueError, "31"),
        ({"inputs_embeds": np.zeros((1, 3, 96), "f8")}, ValueError, "wider than the model's"),
    ],
)
def test_inputs_that_make_no_sense(encoder, given, error, message):
    with pytest.raises(error, match=message):
        encoder[1](**given)


def test_a_list_by_position_is_named_too():
    _, port = port_pair("DistilBertForMaskedLM", "k16")
    with pytest.raises(TypeError, match="input_ids is a list, not a tensor"):
        port([[1, 2, 3]])
    with pytest.raises(TypeError, match="attention_mask is a list, not a tensor"):
        port(np.ones((1, 3), int), [[1, 1, 0]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"position_ids": np.full((1, 3), 24)}, "position_ids holds 24, expected 0 to 23"),
        ({"position_ids": np.zeros((2, 3), int)}, r"position_ids has shape \(2, 3\)"),
        ({"position_ids": np.zeros((1, 3), "f4")}, "position_ids must be int32 or int64"),
        ({"attention_mask": np.ones((1, 4))}, r"\(1, 4\), but the input is .*\(1, 3\)"),
        ({"attention_mask": np.ones((1, 3, 3))}, "broadcastable"),
        ({"attention_mask": np.ones((1, 2, 3, 3), bool)}, "broadcastable"),
        ({"attention_mask": np.ones((1, 1, 3, 3), int)}, "could mean either"),
        ({"head_mask": np.ones(2)}, r"head_mask has shape \(2,\)"),
        ({"inputs_embeds": np.ones((1, 3, 96), "f4")}, "exactly one"),
    ],
)
def test_arguments_that_do_not_fit(encoder, given, message):
    with pytest.raises(ValueError, match=message):
        encoder[1](np.zeros((1, 3), int), **given)


def test_a_functional_model_of_keras(encoder):
    """What Keras does with a model on `keras.Input`: shapes are open, and the output is typed."""
    _, port = encoder
    ids = keras.Input((None,), dtype="int32")
    mask = keras.Input((None,), dtype="int32")
    output = port(ids, attention_mask=mask, output_attentions=True)
    assert isinstance(output, EncoderOutput) and output.attentions[1].shape[1] == 3
    functional = keras.Model([ids, mask], output.last_hidden_state)
    given = arrays(inputs("DistilBertModel"))
    np.testing.assert_allclose(
        functional([*given.values()]), port(**given).last_hidden_state, atol=1e-6
    )


def test_outputs_are_what_they_look_like():
    for cls in (EncoderOutput, HeadOutput, AnswerOutput):
        fields = {"hidden_states": (1.0, 2.0)}
        fields[next(iter(cls.__dataclass_fields__))] = 3.0
        output = cls(fields)
        assert list(output) == list(cls(*[fields.items()], attentions=None))
        mapped = keras.tree.map_structure(lambda x: x + 1, output)
        assert type(mapped) is cls and mapped[0] == 4.0 and mapped.hidden_states == (2.0, 3.0)
        assert keras.tree.flatten(output) == [3.0, 1.0, 2.0]


def test_a_new_model():
    """N(0, initializer_range), biases 0, LayerNorm 1 and 0, the padding row 0; nothing twice."""
    config = DistilBertConfig(
        vocab_size=300, dim=64, n_heads=2, n_layers=2, hidden_dim=200, initializer_range=0.05
    )
    model = TFDistilBertForMaskedLM(config)
    words = model.distilbert.embeddings.word_embeddings.embeddings.numpy()
    assert (words[0] == 0).all() and (words[1:] != 0).all()
    block = model.distilbert.transformer.layer[1]
    for kernel in (words[1:], block.ffn.lin1.kernel.numpy(), block.attention.q_lin.kernel.numpy()):
        assert abs(kernel.std() - 0.05) < 0.003 and abs(kernel.mean()) < 0.003
    assert not np.array_equal(block.attention.q_lin.kernel, block.attention.k_lin.kernel)
    assert (block.ffn.lin2.bias.numpy() == 0).all()
    assert (block.sa_layer_norm.gamma.numpy() == 1).all()
    again = TFDistilBertForMaskedLM(config)
    assert not np.array_equal(again.distilbert.embeddings.word_embeddings.embeddings, words)
    config.n_layers = 1
    assert model.config.n_layers == 2


def test_a_summary(capsys):
    _, port = port_pair("DistilBertForMaskedLM", "k16")
    port.summary()
    assert f"{port.count_params():,}" in capsys.readouterr().out
