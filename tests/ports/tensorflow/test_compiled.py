"""Under `tf.function` and XLA: the same numbers, shapes unknown, outputs typed."""

import pytest

pytest.importorskip(
    "minidistil.ports.tensorflow",
    reason="the port to Keras: pip install minidistil[tensorflow]",
    exc_type=ModuleNotFoundError,
)

import numpy as np
import tensorflow as tf
import torch

from minidistil.ports.tensorflow.outputs import AnswerOutput, HeadOutput
from tests.helpers.reference import BATCH, LENGTH, inputs, labels
from tests.ports.parity import arrays
from tests.ports.tensorflow.models import port_pair

CLASSES = [
    "DistilBertForMaskedLM",
    "DistilBertForSequenceClassification",
    "DistilBertForQuestionAnswering",
    "DistilBertForMultipleChoice",
]


def int32(given):
    return {name: value.astype("int32") for name, value in arrays(given).items()}


@pytest.mark.parametrize(
    ("cls", "jit_compile"),
    [
        pytest.param(cls, jit, marks=pytest.mark.slow if jit and cls != CLASSES[0] else ())
        for cls in CLASSES
        for jit in (False, True)
    ],
)
def test_any_batch_and_length_in_one_graph(cls, jit_compile):
    _, port = port_pair(cls, "k32-sinusoidal")
    given = int32(inputs(cls) | labels(cls))
    specs = {name: tf.TensorSpec([None] * value.ndim, tf.int32) for name, value in given.items()}
    run = tf.function(
        lambda given: port(given, output_attentions=True),
        input_signature=[specs],
        jit_compile=jit_compile,
    )
    shorter = {n: v[:-1, ..., :-2] if v.ndim > 1 else v[:-1] for n, v in given.items()}
    for some in (given, shorter):
        actual, expected = run(some), port(some, output_attentions=True)
        answer = cls == "DistilBertForQuestionAnswering"
        assert type(actual) is type(expected) is (AnswerOutput if answer else HeadOutput)
        assert list(actual) == list(expected)
        for field in list(actual)[:-1]:
            np.testing.assert_allclose(actual[field], expected[field], atol=2e-5, rtol=1e-5)
        np.testing.assert_allclose(actual.attentions[1], expected.attentions[1], atol=2e-5)
    assert run.experimental_get_tracing_count() == 1


def test_gradients_under_xla():
    _, port = port_pair("DistilBertForMaskedLM", "k16")
    given = int32(inputs("DistilBertForMaskedLM") | labels("DistilBertForMaskedLM"))
    given["attention_mask"][2] = 0

    def step():
        with tf.GradientTape() as tape:
            loss = port(given).loss
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, port.trainable_weights)]

    for got, want in zip(tf.function(step, jit_compile=True)(), step(), strict=True):
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got, want, atol=1e-4, rtol=1e-3)


def test_shapes_are_checked_in_a_graph_too():
    _, port = port_pair("DistilBertForMaskedLM", "k16")
    ids = np.zeros((BATCH, LENGTH), "int32")
    with pytest.raises(ValueError, match="attention_mask has shape"):
        tf.function(port)(ids, np.ones((BATCH, LENGTH + 1), "int32"))
    with pytest.raises(ValueError, match="25 tokens is longer"):
        tf.function(port)(np.zeros((1, 25), "int32"))
    with pytest.raises(ValueError, match="labels has shape"):
        tf.function(port)(ids, labels=np.zeros((BATCH, 2), "int32"))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", ["input_ids", "position_ids"])
@pytest.mark.parametrize(
    ("dtype", "fields"),
    # With AMX, oneDNN lets a NaN into the row before it where bfloat16 rows are longer than 32 and
    # no multiple of it (TensorFlow 2.21, uxlfoundation/oneDNN#5717).
    [(torch.float32, {}), (torch.bfloat16, {"hidden_dim": 64})],
    ids=["float32", "bfloat16"],
)
def test_negative_ids_are_nan_in_a_graph(name, jit_compile, dtype, fields):
    """Nobody can look at them there; the last row of the table must not be learned in silence."""
    _, port = port_pair("DistilBertForMaskedLM", "k16", dtype, **fields)
    given = int32(inputs("DistilBertForMaskedLM"))
    given["position_ids"] = np.tile(np.arange(LENGTH, dtype="int32"), (BATCH, 1))
    run = tf.function(port, jit_compile=jit_compile)
    assert np.isfinite(run(given).logits.numpy().astype("f4")).all()
    given[name] = given[name].copy()
    given[name][1, 2] = -1
    wrong = np.isnan(run(given).logits.numpy().astype("f4"))
    assert wrong[1].all() and not wrong[[0, 2, 3]].any()
    if jit_compile:  # without XLA, TensorFlow raises an error of its own on a CPU
        given[name][1, 2] = 10_000
        assert np.isnan(run(given).logits.numpy().astype("f4"))[1].all()


@pytest.mark.parametrize(
    ("cls", "labels"),
    [
        ("DistilBertForSequenceClassification", {"labels": np.full((BATCH, 2), -1.0, "f4")}),
        ("DistilBertForSequenceClassification", {"labels": np.full((BATCH, 2), 2.0, "f4")}),
        ("DistilBertForSequenceClassification", {"labels": np.full(BATCH, -1)}),
        ("DistilBertForSequenceClassification", {"labels": np.full(BATCH, 2)}),
        (
            "DistilBertForQuestionAnswering",
            {"start_positions": np.full(BATCH, -100), "end_positions": np.full(BATCH, 1)},
        ),
    ],
)
def test_labels_that_make_no_sense_are_nan_in_a_graph(cls, labels):
    """Under XLA and on a GPU; on a CPU, TensorFlow has an error for those that are integers."""
    _, port = port_pair(cls, "k16")
    given = int32(inputs(cls)) | labels
    assert np.isnan(tf.function(port, jit_compile=True)(given).loss)
    run = tf.function(port)
    if "labels" in labels and labels["labels"].ndim == 2:
        assert np.isnan(run(given).loss)
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match="outside the valid range"):
            run(given)


def test_no_nan_where_nothing_is_wrong():
    """What `tf.debugging.enable_check_numerics` would stop a user's graph at."""
    _, port = port_pair("DistilBertForSequenceClassification", "k16")
    given = int32(inputs("DistilBertForSequenceClassification"))
    given["labels"] = np.full((BATCH, 2), -100.0, "f4")
    tf.debugging.enable_check_numerics()
    try:
        assert tf.function(port)(given).loss == 0
    finally:
        tf.debugging.disable_check_numerics()
