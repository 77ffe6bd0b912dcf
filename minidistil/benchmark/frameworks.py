"""The same model in three frameworks, each compiled, beside the fast path, in one run.

    PyTorch (eager, torch.compile, fast path) | JAX (jit) | Keras (tf.function, XLA) --> a table

All are compiled anew for each shape before anything is timed, and have the same weights and number
of threads.

Not here: the ports (`minidistil.ports`), the table (`comparison.py`).
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidistil.benchmark.comparison import compare
from minidistil.benchmark.peers import Minidistil, Peer
from minidistil.benchmark.report import Report
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.work import Setting, Work


class Jax(Peer):
    """`FlaxDistilBertModel` under `jax.jit`, on the CPU."""

    name, dtype, needs = "JAX jit float32", "float32", ("jax", "flax")

    def load(self, saved: Saved) -> None:
        """Load, and take the weights out of the model, as arguments of what is compiled."""
        os.environ["NPROC"] = str(saved.threads)  # XLA's threads: read when JAX is first used
        import jax
        from flax import nnx

        from minidistil.ports.flax import FlaxDistilBertModel

        jax.config.update("jax_platforms", "cpu")
        self.vocab_size = saved.config.vocab_size
        graph, self.weights = nnx.split(FlaxDistilBertModel.from_pretrained(saved.folder))

        @jax.jit
        def encode(weights: Any, ids: Any, mask: Any) -> Any:
            return nnx.merge(graph, weights)(ids, mask).last_hidden_state

        self.encode, self.asarray = encode, jax.numpy.asarray

    def inputs(self, work: Work) -> tuple[Any, Any]:
        """JAX's arrays."""
        ids, mask = work.padded(self.vocab_size)
        return self.asarray(ids.numpy()), self.asarray(mask.numpy())

    def run(self, inputs: tuple[Any, Any]) -> Any:
        """The hidden states, waited for."""
        return self.encode(self.weights, *inputs).block_until_ready()


class Keras(Peer):
    """`TFDistilBertModel` in a `tf.function` that XLA compiles, on the CPU."""

    name, dtype, needs = "Keras XLA float32", "float32", ("tensorflow", "keras")

    def load(self, saved: Saved) -> None:
        """Load; a function for each shape is compiled when it is first seen."""
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(saved.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        from minidistil.ports.tensorflow import TFDistilBertModel

        self.vocab_size = saved.config.vocab_size
        model = TFDistilBertModel.from_pretrained(saved.folder)

        @tf.function(jit_compile=True)
        def encode(ids: Any, mask: Any) -> Any:
            return model(ids, mask, training=False).last_hidden_state

        self.encode, self.constant = encode, tf.constant

    def inputs(self, work: Work) -> tuple[Any, Any]:
        """TensorFlow's tensors."""
        ids, mask = work.padded(self.vocab_size)
        return self.constant(ids.numpy()), self.constant(mask.numpy())

    def run(self, inputs: tuple[Any, Any]) -> np.ndarray:
        """The hidden states; asking for the array waits for it."""
        return self.encode(*inputs).numpy()


def frameworks(setting: Setting) -> Iterator[Report]:
    """One table a row of work; ratios and errors are to the PyTorch modules, uncompiled.

    Args:
        setting: The model, the rows, the rounds, the device.
    """
    ways = [Minidistil(way="modules"), Minidistil(way="compiled"), Jax(), Keras(), Minidistil()]
    return compare(setting, ways)
