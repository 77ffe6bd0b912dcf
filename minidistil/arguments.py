"""Arguments: numbers and devices as users give them, checked and made plain.

A number may be Python's, NumPy's or a tensor's. What is stored is Python's, because JSON knows no
other.

Not here: ids, labels and positions (`checks.py`), the fields of a config (`config.py`).
"""

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def whole(name: str, value: Any, least: int = 0) -> int:
    """The whole number that a value is, be it Python's, NumPy's or a tensor's.

    Raises:
        ValueError: It is none, or below `least`; named by `name`.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise ValueError(f"{name}={value!r} is no whole number from {least} up")
    return number


def plain(value: Any) -> Any:
    """The value with Python's numbers and strings in place of NumPy's, also in dicts and lists."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def usable_device(device: "str | int | torch.device") -> "torch.device":
    """A device that tensors can be put on.

    Args:
        device: A name such as "cpu" or "cuda:1", or the number of a GPU, -1 for the CPU.

    Raises:
        ValueError: There is no such device here.
    """
    import torch  # here, so that a config can be read without it

    try:
        return torch.empty(0, device="cpu" if device == -1 else device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"the device {device!r} can't be used: {reason}") from error
