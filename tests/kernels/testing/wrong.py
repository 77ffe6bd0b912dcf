"""Ways in which any function can be wrong, and how a law is shown to notice.

Not here: what only one operation can get wrong (its own test file).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any

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
        x = inputs[name]
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
