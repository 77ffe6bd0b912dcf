"""What calls of one function owe each other: forward and backward, one after another or at once.

`checks_of_calls` makes the checks of laws that every operation has, padded and packed attention
among them.

Not here: which cases they are tried on (`common.py`, `attention_calls.py`, `attention_packed.py`),
nor how close a result must be (`accuracy.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from minidistil_kernels.testing.accuracy import (
    FLOOR,
    Errors,
    Layout,
    assert_accurate,
    begin,
    differentiate,
    run,
    upstream_of,
)


def assert_inputs_stay(
    fn: Callable[..., Any], inputs: Mapping[str, Any], differentiable: Sequence[str]
) -> None:
    """Run `fn` forward and backward: no element of its inputs may change."""
    tensors = {name: value for name, value in inputs.items() if torch.is_tensor(value)}
    before = {name: value.clone() for name, value in tensors.items()}
    run(fn, inputs, differentiable)
    for name, value in tensors.items():
        assert torch.equal(value, before[name]), f"{name} was changed in place"


def assert_repeatable(
    fn: Callable[..., Any], inputs: Mapping[str, Any], differentiable: Sequence[str]
) -> None:
    """Run `fn` forward and backward twice: no bit may differ."""
    (outputs, gradients), (outputs_2, gradients_2) = (
        run(fn, inputs, differentiable) for _ in range(2)
    )
    for what in outputs:
        assert torch.equal(outputs[what], outputs_2[what]), f"the same call gave another {what}"
    for name in gradients:
        assert torch.equal(gradients[name], gradients_2[name]), (
            f"the same backward gave another gradient of {name}"
        )


def assert_side_by_side(
    fn: Callable[..., Any],
    inputs: Mapping[str, Any],
    others: Mapping[str, Any],
    differentiable: Sequence[str],
) -> None:
    """Call `fn` on others, forward and backward, between the forward and backward on inputs.

    So it is with the layers of a model. A buffer that calls share would hold the wrong one's.
    """
    outputs, gradients = run(fn, inputs, differentiable)
    alone = {name: x.clone() for name, x in [*outputs.items(), *gradients.items()]}
    first, leaves = begin(fn, inputs, differentiable)
    run(fn, others, differentiable)
    slopes = differentiate(first[0], leaves, upstream_of(first[0]))
    for (name, was), x in zip(alone.items(), (*first, *slopes), strict=True):
        what = name if name in outputs else f"gradient of {name}"
        assert torch.equal(x, was), f"another call in between changed {what}"


def assert_backward_twice(
    fn: Callable[..., Any], inputs: Mapping[str, Any], differentiable: Sequence[str]
) -> None:
    """Differentiate one call of `fn` twice: no bit may differ."""
    outputs, leaves = begin(fn, inputs, differentiable)
    assert outputs[0].requires_grad, "returned a result without a gradient"
    upstream = upstream_of(outputs[0])
    gradients, gradients_2 = (
        torch.autograd.grad(outputs[0], leaves, upstream, retain_graph=True, materialize_grads=True)
        for _ in range(2)
    )
    for name, first, second in zip(differentiable, gradients, gradients_2, strict=True):
        assert torch.equal(first, second), f"a second backward gave another gradient of {name}"


def assert_alone(
    fn: Callable[..., Any], inputs: Mapping[str, Any], differentiable: Sequence[str]
) -> None:
    """Ask `fn` for one gradient at a time: each is that of all, but for rounding."""
    together = run(fn, inputs, differentiable)[1]
    steepest = max(float(x.abs().max()) if x.numel() else 0.0 for x in together.values())
    for name, expected in together.items():
        gradient = run(fn, inputs, [name])[1][name]
        slack = FLOOR[expected.dtype] * steepest
        assert torch.allclose(gradient, expected, rtol=0, atol=slack), (
            f"the gradient of {name} is another where nothing else is learnt"
        )


def assert_any_upstream(errors: Callable[[Layout], list[Errors]]) -> None:
    """Hold the errors under upstream gradients that are no new tensor's to their bounds.

    Raises:
        AssertionError: An error is too large; names the layout.
    """
    layouts: tuple[Layout, ...] = ("apart", "expanded")
    for layout in layouts:
        try:
            assert_accurate(errors(layout))
        except AssertionError as error:
            raise AssertionError(f"upstream gradient {layout}: {error}") from error


def checks_of_calls(
    form: Callable[[Any], Callable[..., Any]], differentiable: Sequence[str]
) -> tuple[Callable[[Any, Any], None], ...]:
    """The checks of what calls owe each other.

    Args:
        form: From anybody's function to one that takes `case.inputs()`.
        differentiable: The inputs that get a gradient.

    Returns:
        inputs_stay, repeatable, side_by_side, backward_twice and alone.
    """

    def inputs_stay(fn: Any, case: Any) -> None:
        """Leaves its inputs as they are, forward and backward."""
        assert_inputs_stay(form(fn), case.inputs(), differentiable)

    def repeatable(fn: Any, case: Any) -> None:
        """The same call gives the same bits, forward and backward."""
        assert_repeatable(form(fn), case.inputs(), differentiable)

    def side_by_side(fn: Any, case: Any) -> None:
        """A call stands, and its gradient, whatever is called in between."""
        others = replace(case, seed=case.seed + 100).inputs()
        assert_side_by_side(form(fn), case.inputs(), others, differentiable)

    def backward_twice(fn: Any, case: Any) -> None:
        """A second backward of one call gives the same bits."""
        assert_backward_twice(form(fn), case.inputs(), differentiable)

    def alone(fn: Any, case: Any) -> None:
        """The gradient of one input is the same where no other gets one."""
        assert_alone(form(fn), case.inputs(), differentiable)

    return inputs_stay, repeatable, side_by_side, backward_twice, alone
