"""The gradient of every trainable weight, in float64, against PyTorch."""

import pytest

pytest.importorskip(
    "minidistil.ports.tensorflow",
    reason="the port to Keras: pip install minidistil[tensorflow]",
    exc_type=ModuleNotFoundError,
)

import numpy as np
import tensorflow as tf
import torch

from minidistil import DistilBertConfig
from minidistil.ports.tensorflow import TFDistilBertForMaskedLM, TFDistilBertModel
from minidistil.ports.tensorflow.pretrained import named_variables
from tests.helpers.reference import inputs, labels
from tests.helpers.tolerances import assert_gradients_close
from tests.ports.parity import arrays
from tests.ports.tensorflow.models import expected_gradients, gradients, port_pair
from tests.ports.tensorflow.test_model import CASES


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_every_weight(cls, name):
    ours, port = port_pair(cls, name, torch.float64)
    given = inputs(cls)
    given["input_ids"].view(-1)[:3] = ours.config.pad_token_id  # its row gets no gradient
    if cls == "DistilBertModel":
        direction = torch.randn(*given["input_ids"].shape, ours.config.dim, dtype=torch.float64)
        expected = (ours(**given).last_hidden_state * direction).sum()
        actual = gradients(
            port,
            lambda: tf.reduce_sum(port(**arrays(given)).last_hidden_state * direction.numpy()),
        )
    else:
        given |= labels(cls)
        expected = ours(**given).loss
        actual = gradients(port, lambda: port(**arrays(given)).loss)
    assert_gradients_close(actual, expected_gradients(ours, expected))


def test_a_sinusoidal_table_stays_as_it_is():
    _, port = port_pair("DistilBertModel", "k32-sinusoidal")
    name = "embeddings.position_embeddings.weight"
    for trainable in (False, True):  # the way to freeze an encoder in Keras, and to thaw it
        port.trainable = trainable
        table = named_variables(port)[name]
        assert all(table is not weight for weight in port.trainable_weights)
    assert len(port.non_trainable_weights) == 1
    _, learned = port_pair("DistilBertModel", "k16")
    assert not learned.non_trainable_weights


def test_the_projector_is_the_word_embedding():
    config = DistilBertConfig(vocab_size=50, dim=32, n_heads=2, n_layers=1, hidden_dim=40)
    port = TFDistilBertForMaskedLM(config)
    words = port.distilbert.embeddings.word_embeddings.embeddings
    shapes = [tuple(weight.shape) for weight in port.weights]
    assert shapes.count((50, 32)) == 1 and (32, 50) not in shapes
    ids = np.array([[3, 4, 5]])
    before = port(ids).logits.numpy()
    words.assign(words * 2)
    assert abs(port(ids).logits.numpy() - before).max() > 0.01
    config.tie_word_embeddings = False
    untied = TFDistilBertForMaskedLM(config)
    assert untied.count_params() == port.count_params() + 50 * 32


def test_the_padding_row_is_not_taught_by_looking_it_up():
    _, port = port_pair("DistilBertModel", "k16")
    ids = np.array([[0, 5, 0, 7]])
    found = gradients(port, lambda: tf.reduce_sum(port(ids).last_hidden_state ** 2 * [3.0] * 32))
    rows = found["embeddings.word_embeddings.weight"].abs().sum(1)
    assert rows[0] == 0 and rows[5] > 0
    assert isinstance(port, TFDistilBertModel)
