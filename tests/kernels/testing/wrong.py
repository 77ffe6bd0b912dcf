"""Ways in which any function can be wrong, and how a law is shown to notice.

Not here: what only one operation can get wrong (its own test file).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any, ClassVar

import torch

from minidistil_kernels.testing.report import Law

Function = Callable[..., Any]


def changed(fn: Function, change: Function) -> Function:
    """`fn` with `change` applied to its result, to the first where it returns several."""

    @wraps(fn)
    def wrong(*places, **inputs):
        inputs = dict(zip(signature(fn).parameters, places, strict=False)) | inputs
        result = fn(**inputs)
        return (change(result[0]), *result[1:]) if isinstance(result, tuple) else change(result)

    return wrong


def wide(fn: Function) -> Function:
    """Forgets to cast its result back."""
    return changed(fn, lambda x: x.double())


def noisy(fn: Function) -> Function:
    """Adds up in another order every time, so to say."""
    return changed(fn, lambda x: x * (1 + 0.01 * torch.rand_like(x)))


def scratch(fn: Function, name: str) -> Function:
    """Uses an input as scratch memory. Autograd does not see it, as with a kernel."""

    @wraps(fn)
    def wrong(*places, **inputs):
        inputs = dict(zip(signature(fn).parameters, places, strict=False)) | inputs
        result = fn(**inputs)
        inputs[name].data.zero_()
        return result

    return wrong


def gapless(fn: Function, name: str) -> Function:
    """Takes the last stride for 1 and the others for those of a contiguous tensor."""

    @wraps(fn)
    def wrong(*places, **inputs):
        inputs = dict(zip(signature(fn).parameters, places, strict=False)) | inputs
        x = inputs.get(name)
        if x is None:
            return fn(**inputs)
        dense = torch.empty(x.shape).stride()
        return fn(**inputs | {name: x.as_strided(x.shape, dense)})

    return wrong


class _ReadsUpstreamAsNew(torch.autograd.Function):
    """The identity, whose backward takes the strides of its gradient for a new tensor's."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        dense = torch.empty(gradient.shape).stride()
        elements = gradient.untyped_storage().nbytes() // gradient.element_size()
        if elements < gradient.numel():  # expanded: a kernel would read its neighbour
            return gradient * float("nan")
        return gradient.as_strided(gradient.shape, dense)


def gapless_upstream(fn: Function) -> Function:
    """Right forward; the backward reads the gradient from above as if it were a new tensor."""
    return changed(fn, _ReadsUpstreamAsNew.apply)


class _OneBuffer(torch.autograd.Function):
    """The identity, whose result lies where that of the last call of its shape lies."""

    memory: ClassVar[dict[Any, torch.Tensor]] = {}

    @staticmethod
    def forward(ctx, x):
        buffer = _OneBuffer.memory.setdefault((x.shape, x.dtype), torch.empty_like(x))
        return buffer.data.copy_(x)  # as a kernel stores: autograd does not see it

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def one_buffer(fn: Function) -> Function:
    """Allocates its result once for all calls."""
    return changed(fn, _OneBuffer.apply)


class _OneWorkspace(torch.autograd.Function):
    """The identity, right forward; what its backward needs, the last call has overwritten."""

    memory: ClassVar[dict[Any, torch.Tensor]] = {}

    @staticmethod
    def forward(ctx, x):
        ctx.saved = _OneWorkspace.memory.setdefault((x.shape, x.dtype), torch.empty_like(x))
        ctx.mine = x.clone()
        ctx.saved.copy_(x)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient + (ctx.saved - ctx.mine)


def one_workspace(fn: Function) -> Function:
    """Saves for backward what the next call overwrites."""
    return changed(fn, _OneWorkspace.apply)


class _BackwardOnce(torch.autograd.Function):
    """The identity, whose backward uses what was saved as scratch memory."""

    @staticmethod
    def forward(ctx, x):
        ctx.slope = torch.ones_like(x)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient * ctx.slope
        ctx.slope.mul_(2)
        return gradient


def backward_once(fn: Function) -> Function:
    """Right, but for a second backward of the same call."""
    return changed(fn, _BackwardOnce.apply)


def all_or_nothing(fn: Function, *names: str) -> Function:
    """Has a gradient only where all of these inputs want one."""

    @wraps(fn)
    def wrong(*places, **inputs):
        inputs = dict(zip(signature(fn).parameters, places, strict=False)) | inputs
        if not all(inputs[name].requires_grad for name in names):
            inputs |= {name: inputs[name].detach() for name in names}
        return fn(**inputs)

    return wrong


def by_default(fn: Function, **options: Any) -> Function:
    """Has other defaults."""
    return lambda *places, **inputs: fn(*places, **options | inputs)


def refuses(fn: Function, where: Callable[..., bool]) -> Function:
    """Raises where `where(**inputs)` holds, though such inputs are part of the contract."""

    @wraps(fn)
    def wrong(*places, **inputs):
        inputs = dict(zip(signature(fn).parameters, places, strict=False)) | inputs
        if where(**inputs):
            raise ValueError("not served")
        return fn(**inputs)

    return wrong


def ignores(fn: Function, name: str) -> Function:
    """Does not pass an option on."""

    @wraps(fn)
    def wrong(*places, **inputs):
        inputs = dict(zip(signature(fn).parameters, places, strict=False)) | inputs
        return fn(**{key: value for key, value in inputs.items() if key != name})

    return wrong


def assert_refused(laws: Sequence[Law], wrong: Function, name: str) -> None:
    """The law of this name fails the function, whatever the one random case may be."""
    (law,) = (law for law in laws if law.check.__name__ == name)
    result = law.try_on(wrong, 1)
    assert not result.holds, result


def assert_notices(law: Law, wrong: Mapping[str, Function], examples: int = 20) -> None:
    """The law fails the function that `wrong` has for it, and says why, instead of crashing on it.

    A function that obeyed the law by luck on some case would need more examples.
    """
    result = law.try_on(wrong[law.check.__name__], examples)
    assert not result.holds, result
    assert result.reason.startswith("AssertionError: ") and len(result.reason) > 20, result
    assert "Case(" in result.smallest_case
