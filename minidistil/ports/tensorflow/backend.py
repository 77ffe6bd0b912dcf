"""Imports Keras on TensorFlow, in the order that works.

Each wheel of TensorFlow and of Triton brings an LLVM of its own. TensorFlow can be imported after
Triton, but the other way round the second LLVM finds the first one's options and ends the process.
PyTorch imports Triton when it needs it, as for its first optimizer; so it is imported here, unless
it is too late for that.
"""

import sys
from importlib.util import find_spec
from typing import Any

if "tensorflow" not in sys.modules and find_spec("triton") is not None:
    import triton  # noqa: F401

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"minidistil.ports.tensorflow needs Keras on TensorFlow, but it runs on "
        f"{keras.backend.backend()!r}: set KERAS_BACKEND=tensorflow before keras is first imported"
    )

# Keras's sources have no types, and what a type checker infers from them is wrong.
Tensor = Any  # of TensorFlow, eager or of a graph
ops: Any = keras.ops
