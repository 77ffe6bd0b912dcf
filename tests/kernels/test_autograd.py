"""What no kernel can differentiate is an error, never a derivative with terms missing.

And what a first derivative must not depend on.
"""

import pytest
import torch
from torch.autograd import forward_ad

import minidistil_kernels as ours
from minidistil_kernels.testing import drawing
from tests.kernels.operators import OPERATIONS, first


def test_every_operation_is_here():
    assert OPERATIONS.keys() == set(ours.__all__)


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


@pytest.mark.parametrize("name", OPERATIONS)
def test_autocast_changes_no_gradient(name):
    """The dtype of the inputs counts, where the backward multiplies matrices by PyTorch too."""
    function, inputs, once, _ = OPERATIONS[name]
    leaf = inputs[once].detach().requires_grad_()
    y = first(function(**inputs | {once: leaf}))
    upstream = drawing.normal(7, y.shape)
    (expected,) = torch.autograd.grad(y, leaf, upstream, retain_graph=True)
    with torch.autocast(y.device.type, torch.bfloat16):
        (actual,) = torch.autograd.grad(y, leaf, upstream)
    assert torch.equal(actual, expected)
