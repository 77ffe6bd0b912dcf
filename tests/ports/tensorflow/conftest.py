"""TensorFlow without its chatter, and one seed for Keras."""

import os

import pytest

from tests.conftest import SEED

# Read when TensorFlow is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(autouse=True)
def _keras_seed() -> None:
    import keras

    keras.utils.set_random_seed(SEED)
