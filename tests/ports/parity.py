"""A PyTorch model and its port, of the same weights, and how their results are compared."""

import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.helpers.tolerances import assert_close


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
