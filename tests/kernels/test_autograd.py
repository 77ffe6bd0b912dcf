"""What no kernel can differentiate is an error, never a derivative with terms missing."""

import pytest
import torch
from torch.autograd import forward_ad

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


def test_every_operation_is_here():
    assert OPERATIONS.keys() == set(ours.__all__)


def first(result):
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_second_derivative(name):
    """A loss and a penalty on its gradient: the loss alone has a derivative, which must not do."""
    function, inputs, once, twice = OPERATIONS[name]
    leaves = {key: inputs[key].detach().requires_grad_() for key in {once, twice}}
    y = first(function(**inputs | leaves))
    y = (y * torch.linspace(0.5, 1.5, y.numel(), device=y.device).view(y.shape)).sum()
    (gradient,) = torch.autograd.grad(y, leaves[once], create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        torch.autograd.grad(y + 10 * gradient.square().sum(), leaves[twice])


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_forward_mode(name):
    """By either of PyTorch's two ways to ask for it."""
    function, inputs, once, _ = OPERATIONS[name]
    x = inputs[once]
    message = rf"{name}: {once} is differentiated forward.*reference.{name} knows both"
    with pytest.raises(ValueError, match=message):
        torch.func.jvp(lambda x: first(function(**inputs | {once: x})), (x,), (x,))
    with forward_ad.dual_level(), pytest.raises(ValueError, match=message):
        function(**inputs | {once: forward_ad.make_dual(x, x)})
    assert first(function(**inputs)).isfinite().all()
