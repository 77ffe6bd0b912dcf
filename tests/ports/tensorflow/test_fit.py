"""The training loop of Keras: on the loss of the model, on one of Keras, and what it predicts."""

import pytest

pytest.importorskip(
    "minidistil.ports.tensorflow",
    reason="the port to Keras: pip install minidistil[tensorflow]",
    exc_type=ModuleNotFoundError,
)

import keras
import numpy as np
import tensorflow as tf

from minidistil import DistilBertConfig
from minidistil.ports.tensorflow import (
    TFDistilBertForQuestionAnswering,
    TFDistilBertForSequenceClassification,
)
from minidistil.ports.tensorflow.outputs import HeadOutput
from tests.ports.tensorflow.models import port_pair

SHAPE = {"vocab_size": 40, "dim": 32, "n_heads": 2, "n_layers": 1, "hidden_dim": 40}
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
TEXTS, LENGTH = 12, 6
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def data():
    """Texts whose class is whether token 7 is their second."""
    rng = np.random.default_rng(0)
    ids = rng.integers(8, 40, size=(TEXTS, LENGTH)).astype("int32")
    labels = np.arange(TEXTS) % 2
    ids[:, 1] = np.where(labels == 1, 7, ids[:, 1])
    mask = np.ones_like(ids)
    mask[:, -2:] = 0
    return {"input_ids": ids, "attention_mask": mask}, labels.astype("int32")


def classifier(**fields):
    return TFDistilBertForSequenceClassification(DistilBertConfig(**SHAPE, **fields))


def test_fit_is_a_step_by_hand():
    """One step of `fit` on the model's own loss is one step of the tape: counted once."""
    given, labels = data()
    given["labels"] = labels
    by_hand, by_fit = classifier(**NO_DROPOUT), classifier(**NO_DROPOUT)
    by_fit.set_weights(by_hand.get_weights())
    optimizer = keras.optimizers.SGD(0.5)
    with tf.GradientTape() as tape:
        loss = by_hand(given, training=True).loss
    optimizer.apply(tape.gradient(loss, by_hand.trainable_weights), by_hand.trainable_weights)
    by_fit.compile(optimizer=keras.optimizers.SGD(0.5))
    history = by_fit.fit(given, batch_size=TEXTS, verbose=0, shuffle=False).history
    np.testing.assert_allclose(history["loss"], [loss], rtol=1e-5)
    moved = 0
    for got, want in zip(by_fit.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)
        moved += np.abs(want).sum()
    assert moved > 0


def test_labels_in_the_inputs():
    """A dataset of dicts: the loss falls, evaluate has it, predict has numpy logits and no loss."""
    keras.utils.set_random_seed(3)
    given, labels = data()
    dataset = tf.data.Dataset.from_tensor_slices(given | {"labels": labels}).batch(5)
    model = classifier(initializer_range=0.1)
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    history = model.fit(dataset, epochs=12, verbose=0, shuffle=False).history["loss"]
    assert history[-1] < 0.5 * history[0]
    np.testing.assert_allclose(
        model.evaluate(dataset, verbose=0), model(given, labels=labels).loss, rtol=1e-4
    )
    predicted = model.predict(dataset, verbose=0)
    assert type(predicted) is HeadOutput and list(predicted) == ["logits"]
    assert type(predicted.logits) is np.ndarray
    np.testing.assert_allclose(predicted.logits, model(given).logits, atol=1e-5)


def test_labels_beside_the_inputs():
    """Keras's loss and metrics, on the logits; the same loss as the model's own."""
    given, labels = data()
    model = classifier()
    model.compile(optimizer="adam", loss=CROSS_ENTROPY, metrics=["accuracy"])
    history = model.fit(given, labels, epochs=2, verbose=0).history
    assert history.keys() == {"loss", "accuracy"}
    loss, accuracy = model.evaluate(given, labels, verbose=0)
    output = model(given, labels=labels)
    np.testing.assert_allclose(loss, output.loss, rtol=1e-5)
    assert accuracy == (output.logits.numpy().argmax(1) == labels).mean()


def test_answers_beside_the_inputs():
    given, _ = data()
    places = {"start_logits": np.full(TEXTS, 2), "end_logits": np.full(TEXTS, 3)}
    model = TFDistilBertForQuestionAnswering(DistilBertConfig(**SHAPE))
    model.compile(loss=dict.fromkeys(places, CROSS_ENTROPY))
    loss = model.evaluate(given, places, verbose=0, return_dict=True)["loss"]
    own = model(given, start_positions=np.full(TEXTS, 2), end_positions=np.full(TEXTS, 3)).loss
    np.testing.assert_allclose(loss, 2 * own, rtol=1e-5)  # Keras's is the sum


def test_tuples_are_learned_from_too():
    given, labels = data()
    model = classifier(return_dict=False)
    model.compile(optimizer="adam")
    loss = model.evaluate(given | {"labels": labels}, verbose=0)
    np.testing.assert_allclose(loss, model(given, labels=labels)[0], rtol=1e-5)


def test_tuples_with_labels_beside_the_inputs():
    """With more in the tuple than logits: before them the model's own loss, after them the rest."""
    given, labels = data()
    everything = {"return_dict": False, "output_hidden_states": True, "output_attentions": True}
    model = classifier(**everything)
    model.compile(optimizer="adam", loss=CROSS_ENTROPY, metrics=["accuracy"])
    expected = model(given, labels=labels)[0]
    for inputs in (given, given | {"labels": labels[::-1].copy()}):
        np.testing.assert_allclose(
            model.evaluate(inputs, labels, verbose=0)[0], expected, rtol=1e-5
        )
    model = TFDistilBertForQuestionAnswering(DistilBertConfig(**SHAPE, **everything))
    model.compile(loss=[CROSS_ENTROPY, CROSS_ENTROPY])
    starts, ends = np.full(TEXTS, 2), np.full(TEXTS, 3)
    loss = model.evaluate(given, (starts, ends), verbose=0, return_dict=True)["loss"]
    own = model(given, start_positions=starts, end_positions=ends)[0]
    np.testing.assert_allclose(loss, 2 * own, rtol=1e-5)


def test_a_loss_that_was_added_counts():
    given, labels = data()
    model = classifier()
    model.classifier.kernel_regularizer = None
    given["labels"] = labels
    output = model(given)
    model.classifier.add_loss(tf.constant(5.0))
    np.testing.assert_allclose(model.compute_loss(given, None, output), output.loss + 5.0)


def test_what_cannot_be_learned_from():
    given, labels = data()
    model = classifier()
    model.compile(optimizer="adam")
    with pytest.raises(ValueError, match="hold no labels"):
        model.fit(given, verbose=0)
    with pytest.raises(ValueError, match="Provide a .loss. argument"):
        model.fit(given, labels, verbose=0)


@pytest.mark.parametrize(
    ("of_compile", "of_fit"),
    [
        ({"metrics": ["accuracy"]}, {}),
        ({"loss": CROSS_ENTROPY}, {}),
        ({}, {"sample_weight": np.zeros(TEXTS)}),
        ({}, {"class_weight": {0: 0.0, 1: 0.0}}),
    ],
)
def test_what_needs_labels_beside_the_inputs(of_compile, of_fit):
    """Labels in the inputs are learned from by the model's own loss, which knows none of it."""
    given, labels = data()
    model = classifier()
    model.compile(optimizer="adam", **of_compile)
    with pytest.raises(ValueError, match="need labels beside the inputs"):
        model.fit(given | {"labels": labels}, **of_fit, verbose=0)
    model.compile(optimizer="adam", **({"loss": CROSS_ENTROPY} | of_compile))
    loss = model.fit(given, labels, **of_fit, verbose=0).history["loss"]
    assert (loss == [0]) == bool(of_fit)


def test_weights_of_labels_that_are_not_beside():
    """By position, of a batch, of a dataset, and of what `fit` validates on."""
    given, labels = data()
    given["labels"], zero = labels, np.zeros(TEXTS)
    model = classifier()
    model.compile(optimizer="adam")
    with pytest.raises(ValueError, match="sample_weight and class_weight need labels beside"):
        model.evaluate(given, None, TEXTS, 0, zero)
    with pytest.raises(ValueError, match="sample_weight and class_weight need labels beside"):
        model.train_on_batch(given, sample_weight=zero)
    model.compile(optimizer="adam")  # Keras cannot trace a step anew that has failed
    with pytest.raises(ValueError, match="sample_weight and class_weight need labels beside"):
        model.fit(given, validation_data=(given, None, zero), verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((given, labels)).batch(TEXTS)
    model.compile(optimizer="adam", loss=CROSS_ENTROPY)
    history = model.fit(dataset, class_weight={0: 0.0, 1: 0.0}, shuffle=False, verbose=0).history
    assert history["loss"] == [0]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_and_xla(dtype):
    given, labels = data()
    given["labels"] = labels
    config = DistilBertConfig(**SHAPE, **NO_DROPOUT, initializer_range=0.1)
    model = TFDistilBertForSequenceClassification(config, dtype=dtype)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=True)
    losses = model.fit(given, epochs=12, verbose=0, batch_size=4).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < 0.7 * losses[0]


def port_of(**fields):
    return port_pair("DistilBertForSequenceClassification", "k16", **fields)[1]


def test_dropout_is_of_training_alone():
    """In training two calls differ; otherwise they are equal to the bit, and so are two models."""
    port = port_of(dropout=0.3, attention_dropout=0.3, seq_classif_dropout=0.3)
    ids = np.arange(18).reshape(2, 9)
    plain = port(ids).logits.numpy()
    assert np.array_equal(port(ids, training=False).logits, plain)
    first, second = (port(ids, training=True).logits.numpy() for _ in range(2))
    assert np.abs(first - plain).max() > 0.01 and np.abs(first - second).max() > 0.01
    assert np.array_equal(port(ids).logits, plain)


@pytest.mark.parametrize("where", ["dropout", "attention_dropout", "seq_classif_dropout"])
def test_dropout_has_its_places_and_probabilities(where):
    """One kind at a time, of probability 0.4: what it drops, counted."""
    fields = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0} | {where: 0.4}
    port = port_of(**fields)
    ids = np.random.default_rng(0).integers(1, 60, size=(64, 20))
    output = port(ids, training=True, output_hidden_states=True, output_attentions=True)
    states, weights = output.hidden_states[0].numpy(), output.attentions[0].numpy()
    shares = {"dropout": (states == 0).mean(), "attention_dropout": (weights == 0).mean()}
    for name, share in shares.items():
        assert abs(share - (0.4 if name == where else 0.0)) < 0.02, name
    # The kept weights are scaled up, so that the sum over keys is 1 on average.
    assert abs(weights.sum(-1).mean() - 1) < 0.02
    classified = port.classifier(tf.nn.relu(port.pre_classifier(output.hidden_states[-1][:, 0])))
    same = np.allclose(classified, output.logits, atol=1e-4)
    assert same == (where != "seq_classif_dropout")


def test_dropout_after_the_feed_forward_network():
    port = port_of(dropout=0.4)
    dropped = port.distilbert.transformer.layer[0].ffn(tf.random.normal((8, 9, 32)), training=True)
    assert abs((dropped.numpy() == 0).mean() - 0.4) < 0.03
    kept = port.distilbert.transformer.layer[0].ffn(tf.random.normal((8, 9, 32)))
    assert (kept.numpy() != 0).all()
