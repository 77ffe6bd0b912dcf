"""A PyTorch model and its port, of the same weights, and how their results are compared."""

import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers.reference import CLASSES, CONFIGS, POSITIONS, inputs, labels
from tests.helpers.tolerances import assert_close

ALL = {"output_hidden_states": True, "output_attentions": True}
# Quick: every class, and every config. The rest of the product is slow to compile.
CASES = [
    pytest.param(
        cls, name, marks=() if name == "k16" or cls == "DistilBertForMaskedLM" else pytest.mark.slow
    )
    for cls in CLASSES
    for name in CONFIGS
]


def ported(port: Any, model: nn.Module, **options: Any) -> Any:
    """An instance of the class `port`: what the PyTorch model has saved, the port has loaded."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return port.from_pretrained(folder, **options)


def arrays(given: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Inputs as NumPy has them."""
    return {name: value.numpy() for name, value in given.items()}


def tensor(array: Any) -> Tensor:
    """A result of a port, of any framework, as a tensor."""
    return torch.from_numpy(np.array(array))


def assert_outputs_close(actual: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Hold all that a port returns to the table of tolerances; fields must agree, too."""
    assert list(actual) == list(expected)
    for field in expected:
        want, got = expected[field], actual[field]
        if isinstance(want, tuple):
            assert len(got) == len(want) > 0
            for i, (x, y) in enumerate(zip(got, want, strict=True)):
                assert_close(tensor(x), y, f"{field}[{i}]")
        else:
            assert_close(tensor(got), want, field)


def assert_same_order(cls: str, ours: nn.Module, port: Any) -> None:
    """Arguments by position, in the order of the PyTorch class; the tuple has its order, too."""
    given = inputs(cls)
    last = torch.randint(POSITIONS, tuple(given["input_ids"].shape))
    extra = labels(cls).values() if cls != "DistilBertModel" else ()
    args = [*given.values(), None, *extra, last]
    expected = ours(*args, **ALL, return_dict=False)
    actual = port(*(None if a is None else a.numpy() for a in args), **ALL, return_dict=False)
    assert isinstance(actual, tuple) and len(actual) == len(expected)
    for got, want in zip(actual, expected, strict=True):
        several = isinstance(want, tuple)
        assert isinstance(got, tuple) == several
        assert_close(*((tensor(got[-1]), want[-1]) if several else (tensor(got), want)))
