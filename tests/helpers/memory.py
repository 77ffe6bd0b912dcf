"""What one training step keeps for its backward pass, and the largest tensor that it ever makes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Memory:
    """Bytes of one training step.

    Attributes:
        saved: All storages kept between forward and backward, parameters left out.
        largest: The largest storage that any operator returned, forward or backward.
    """

    saved: int
    largest: int


class _Largest(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.bytes = max(self.bytes, leaf.untyped_storage().nbytes())
        return result


def training_memory(model: torch.nn.Module, **inputs: Tensor) -> Memory:
    """Run one step of `model(**inputs).loss` and measure it; works on any device."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with _Largest() as largest, torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        model(**inputs).loss.backward()
    return Memory(sum(saved.values()), largest.bytes)
