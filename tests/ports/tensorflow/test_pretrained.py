"""Checkpoints: the files of the PyTorch class and transformers, and Keras's own."""

import pytest

pytest.importorskip(
    "minidistil.ports.tensorflow",
    reason="the port to Keras: pip install minidistil[tensorflow]",
    exc_type=ModuleNotFoundError,
)

import json
import subprocess
import sys

import keras
import numpy as np
import torch
import transformers

import minidistil
from minidistil import DistilBertConfig, DistilBertForMaskedLM
from minidistil.ports import tensorflow as ports
from minidistil.ports.tensorflow import (
    TFDistilBertForMaskedLM,
    TFDistilBertForSequenceClassification,
    TFDistilBertModel,
)
from tests.helpers.reference import CLASSES, pair
from tests.ports.parity import ported
from tests.ports.tensorflow.models import port_pair

SMALL = {"vocab_size": 50, "dim": 32, "n_heads": 2, "n_layers": 2, "hidden_dim": 40}
CASES = [(cls, "k16") for cls in CLASSES] + [("DistilBertForMaskedLM", "k80-untied")]


def same_weights(left, right):
    pairs = zip(left.weights, right.weights, strict=True)
    return all(np.array_equal(x.numpy(), y.numpy()) for x, y in pairs)


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_saved_weights_are_the_same_to_the_bit(cls, name, tmp_path):
    ours, port = port_pair(cls, name)
    port.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["architectures"] == [cls] and written["dtype"] == "float32"
    again = getattr(minidistil, cls).from_pretrained(tmp_path)
    theirs = getattr(transformers, cls).from_pretrained(tmp_path)
    for loaded in (again.state_dict(), theirs.state_dict()):
        assert loaded.keys() == ours.state_dict().keys()
        assert all(torch.equal(loaded[n], w) for n, w in ours.state_dict().items())
    assert same_weights(getattr(ports, f"TF{cls}").from_pretrained(tmp_path), port)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes_of_checkpoints(dtype, tmp_path):
    name = str(dtype).removeprefix("torch.")
    _, ours = pair("DistilBertForMaskedLM", "k16", dtype)
    port = ported(TFDistilBertForMaskedLM, ours)
    assert port.dtype == port.compute_dtype == port.config.dtype == name
    output = port(np.array([[1, 2, 3]]), labels=np.array([[1, 2, 3]]))
    assert output.logits.dtype == name
    assert output.loss.dtype == ("float64" if dtype == torch.float64 else "float32")
    port.save_pretrained(tmp_path)
    again = DistilBertForMaskedLM.from_pretrained(tmp_path)
    assert again.dtype == dtype
    assert all(torch.equal(again.state_dict()[n], w) for n, w in ours.state_dict().items())
    assert ported(TFDistilBertForMaskedLM, ours, dtype="float32").dtype == "float32"


def test_a_policy_of_keras():
    """Weights in float32, mathematics in bfloat16, statistics in float32."""
    _, ours = pair("DistilBertForMaskedLM", "k16")
    port = ported(TFDistilBertForMaskedLM, ours, dtype="mixed_bfloat16")
    assert {weight.dtype for weight in port.weights} == {"float32"}
    ids = np.arange(12).reshape(2, 6)
    output = port(ids, output_hidden_states=True)
    assert output.logits.dtype == output.hidden_states[0].dtype == "bfloat16"
    exact = ported(TFDistilBertForMaskedLM, ours)(ids).logits
    error = np.abs(output.logits.numpy().astype("f4") - exact).max() / np.abs(exact).max()
    assert 0 < error < 0.05


def test_heads_that_the_checkpoint_lacks(tmp_path):
    """New weights, warned of, and the same after the same seed of Keras."""
    DistilBertForMaskedLM(DistilBertConfig(**SMALL)).save_pretrained(tmp_path)
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        with pytest.warns(UserWarning, match=r"new weights.*classifier\.bias.*not used.*vocab_"):
            cls = TFDistilBertForSequenceClassification
            models.append(cls.from_pretrained(tmp_path, num_labels=3))
    first, second = (model.classifier.kernel.numpy() for model in models)
    assert np.array_equal(first, second) and first.shape == (32, 3) and first.std() > 0
    assert same_weights(models[0].distilbert, TFDistilBertModel.from_pretrained(tmp_path))
    with pytest.raises(TypeError, match="num_lables"):
        TFDistilBertModel.from_pretrained(tmp_path, num_lables=3)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"attn_implementation": "triton"}, ValueError, "'triton' is for the PyTorch class"),
        ({"attn_implementation": "sdpa"}, ValueError, "'sdpa' is for the PyTorch class"),
        ({"layer_ops": "triton"}, ValueError, "'triton' is for the PyTorch class"),
        ({"device": "cpu"}, TypeError, "use tf.device, not device="),
        ({"dtype": "int8"}, ValueError, "'int8' is not a dtype.*'mixed_bfloat16'"),
        ({"dtype": np.int32}, ValueError, "'int32' is not a dtype"),
    ],
)
def test_what_keras_does_not_have(given, error, message, tmp_path):
    """Nothing is accepted and then ignored."""
    TFDistilBertModel(DistilBertConfig(**SMALL)).save_pretrained(tmp_path)
    with pytest.raises(error, match=message):
        TFDistilBertModel.from_pretrained(tmp_path, **given)
    if "dtype" in given:
        with pytest.raises(error, match=message):
            TFDistilBertModel(DistilBertConfig(**SMALL), **given)


def test_what_a_checkpoint_says_of_attention_is_not_asked_for(tmp_path):
    model = TFDistilBertModel(DistilBertConfig(**SMALL))
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    for name in ("attn_implementation", "_attn_implementation"):
        (tmp_path / "config.json").write_text(json.dumps(written | {name: "flash_attention_2"}))
        for same in ({}, {"attn_implementation": "eager"}, {"attn_implementation": None}):
            assert same_weights(TFDistilBertModel.from_pretrained(tmp_path, **same), model)


def test_shapes_that_differ(tmp_path):
    TFDistilBertForSequenceClassification(DistilBertConfig(**SMALL)).save_pretrained(tmp_path)
    load = TFDistilBertForSequenceClassification.from_pretrained
    with pytest.raises(ValueError, match="ignore_mismatched_sizes=True"):
        load(tmp_path, num_labels=5)
    model, info = load(
        tmp_path, num_labels=5, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert info["mismatched_keys"] == ["classifier.bias", "classifier.weight"]
    assert model(np.array([[1, 2]])).logits.shape == (1, 5)


@pytest.mark.parametrize("cls", CLASSES)
def test_files_of_keras(cls, tmp_path):
    """Weights alone, and the whole model: each weight once."""
    port_class = getattr(ports, f"TF{cls}")
    first, second = (port_class(DistilBertConfig(**SMALL)) for _ in range(2))
    assert not same_weights(first, second)
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    assert same_weights(first, second)
    first.save(tmp_path / "a.keras")
    whole = keras.saving.load_model(tmp_path / "a.keras")
    assert type(whole) is port_class and whole.config == first.config
    assert same_weights(whole, first)


@pytest.mark.slow
def test_a_backend_that_it_does_not_run_on():
    code = "import os; os.environ['KERAS_BACKEND'] = 'jax'; import minidistil.ports.tensorflow"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "set KERAS_BACKEND=tensorflow" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("first", ["minidistil.ports.tensorflow", "tensorflow"])
def test_it_works_whatever_was_imported_first(first, tmp_path):
    """TensorFlow, then Triton, ends the process; loading and saving must not import the latter."""
    TFDistilBertModel(DistilBertConfig(**SMALL)).save_pretrained(tmp_path)
    code = f"""
import {first}
from minidistil.ports.tensorflow import TFDistilBertModel
TFDistilBertModel.from_pretrained({str(tmp_path)!r}).save_pretrained({str(tmp_path / "b")!r})
if {first != "tensorflow"}:
    import torch
    torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))])
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "done", done.stderr
