"""What a kernel must be for PyTorch: operators that compile, export and pass its own checks.

And every operation with small inputs, for tests that hold of all.
"""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import minidistil_kernels as ours
from minidistil_kernels.testing import (
    add_layer_norm,
    cosine_loss,
    cross_entropy,
    distillation_loss,
    drawing,
    embedding_layer_norm,
    linear_gelu,
    softmax,
)

HEADS = {name: drawing.normal(i, (1, 1, 5, 16)) for i, name in enumerate(["query", "key", "value"])}
# (function, inputs, what is differentiated once, what twice)
OPERATIONS = {
    "softmax": (ours.softmax, softmax.Case().inputs(), "x", "x"),
    "attention": (ours.attention, HEADS, "query", "value"),
    "add_layer_norm": (ours.add_layer_norm, add_layer_norm.Case().inputs(), "x", "weight"),
    "linear_gelu": (ours.linear_gelu, linear_gelu.Case(5, 16, 4).inputs(), "x", "weight"),
    "embedding_layer_norm": (
        ours.embedding_layer_norm, embedding_layer_norm.Case().inputs(), "word", "weight"
    ),
    "cross_entropy": (ours.cross_entropy, cross_entropy.Case().inputs(), "logits", "logits"),
    "linear_cross_entropy": (
        ours.linear_cross_entropy, cross_entropy.LinearCase().inputs(), "hidden", "weight"
    ),
    "distillation_loss": (
        ours.distillation_loss, distillation_loss.Case().inputs(), "student", "student"
    ),
    "cosine_loss": (ours.cosine_loss, cosine_loss.Case().inputs(), "student", "student"),
}  # fmt: skip


def first(result):
    """The output of an operation that is differentiated."""
    return result[0] if isinstance(result, tuple) else result


class Recorder(TorchDispatchMode):
    """Keeps every call of an operator of ours."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator.namespace == "minidistil":
            self.calls.append((operator, args))
        return operator(*args, **(kwargs or {}))


def assert_integrates(function, inputs):
    """Check `function(**inputs)`, whose first output is differentiated.

    Every operator that it runs, forward and backward, passes `torch.library.opcheck`; the function
    compiles without a graph break, backward pass included, and exports, with the same results.
    """
    leaves = [x for x in inputs.values() if isinstance(x, Tensor) and x.requires_grad]
    assert leaves, "nothing to differentiate proves little"

    def projected(**inputs):
        y = first(function(**inputs))
        weights = torch.linspace(0.5, 1.5, max(y.numel(), 1), device=y.device)
        return (y * weights.view(y.shape)).sum()

    with Recorder() as forward:
        expected = projected(**inputs)
    with Recorder() as backward:
        gradients = torch.autograd.grad(expected, leaves)
    assert forward.calls and backward.calls
    pointers = {leaf.data_ptr() for leaf in leaves}
    for operator, args in forward.calls:
        # Below autograd the inputs have lost their wish for a gradient.
        wanting = [
            x.detach().requires_grad_() if isinstance(x, Tensor) and x.data_ptr() in pointers else x
            for x in args
        ]
        torch.library.opcheck(operator, wanting)
    for operator, args in backward.calls:
        detached = [x.detach() if isinstance(x, Tensor) else x for x in args]
        torch.library.opcheck(operator, detached)

    # Dynamo counts what it compiled of `projected` by its code, one for all kernels of a test run,
    # and gives up after eight.
    torch.compiler.reset()
    # aot_eager traces all that inductor would, and compiles no C++.
    compiled = torch.compile(projected, fullgraph=True, backend="aot_eager")
    actual = compiled(**inputs)
    torch.testing.assert_close(actual, expected)
    for a, b in zip(torch.autograd.grad(actual, leaves), gradients, strict=True):
        torch.testing.assert_close(a, b)

    class Module(torch.nn.Module):
        def forward(self, kwargs):
            return projected(**kwargs)

    detached = {k: v.detach() if isinstance(v, Tensor) else v for k, v in inputs.items()}
    exported = torch.export.export(Module(), (detached,)).module()
    torch.testing.assert_close(exported(detached), expected.detach())
