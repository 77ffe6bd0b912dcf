"""How far a result is from the exact one, and how far it may be.

The exact result is the reference in float64 on the same (already rounded) inputs. Plain PyTorch's
result in the dtype under test, of SDPA for attention and of the reference for all else, says what
that dtype can achieve. The rule, for outputs and for gradients, with r the exact result:

    max|y - r|  <=  2 * max|y_torch - r|  +  FLOOR[dtype] * max|r|

For a gradient the last max runs over all gradients of the call: one that is zero in mathematics,
as that of a query with a single key, is the rounding of others. An element where PyTorch itself
gives NaN or overflows says nothing of what the dtype can achieve, and is left out of its error.

A loss is the difference of numbers as large as its inputs, and may be 0 where they are not: of one
class, log sum_j e^x_j - x. So are the terms p - 1 of its gradient. The bound of both grows by
FLOOR[float32] * max(1, max|input|), for the gradient divided by the number of rows.

Not here: the laws that use it (one file an operation).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

# About one unit in the last place of the largest value in half precision, eight in float32:
# PyTorch's own error can be zero by luck on a small case.
FLOOR = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}

Values = dict[str, Tensor]
Layout = Literal["dense", "apart", "expanded"]


@dataclass(frozen=True)
class Errors:
    """The largest absolute errors of one output or gradient, in one dtype."""

    what: str
    dtype: str
    yours: float
    pytorch: float
    bound: float

    def __str__(self) -> str:
        return f"  {self.dtype:<9} {self.what:<20} {self.yours:.1e}   PyTorch {self.pytorch:.1e}"


def outputs_of(result: Any) -> tuple[Tensor, ...]:
    """What a function returned, as a tuple of tensors; the first is the one differentiated."""
    outputs = result if isinstance(result, tuple) else (result,)
    assert outputs, "returned an empty tuple"
    for output in outputs:
        assert isinstance(output, Tensor), f"returned {type(output).__name__}, not a tensor"
    return outputs


def differentiate(
    output: Tensor, leaves: Sequence[Tensor], upstream: Tensor | None = None
) -> tuple[Tensor, ...]:
    """The gradients of an output; zeros for a leaf on which it does not depend."""
    assert output.requires_grad, "returned a result without a gradient"
    return torch.autograd.grad(output, leaves, upstream, materialize_grads=True)


def upstream_of(output: Tensor, layout: Layout = "dense") -> Tensor:
    """A random gradient to come from above, the same whatever the dtype.

    Args:
        output: The tensor of which it is the gradient.
        layout: How it lies in memory: as a new tensor does; "apart", the axes in the opposite order
            and a gap after every element; "expanded", one row in the place of all.
    """
    generator = torch.Generator().manual_seed(output.numel())
    shape = output.shape[-1:] if layout == "expanded" else output.shape
    values = torch.randn(shape, generator=generator).to(output)
    if layout == "apart":
        axes = tuple(reversed(range(values.ndim)))
        memory = torch.full((*values.permute(axes).shape, 2), float("nan")).to(output)
        memory[..., 0] = values.permute(axes)
        return memory[..., 0].permute(axes)
    return values.expand(output.shape)


def begin(
    fn: Callable[..., Any], inputs: Mapping[str, Any], differentiable: Sequence[str]
) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    """Call `fn(**inputs)`, still to be differentiated: its outputs, and the leaves."""
    leaves = {
        name: value.detach().requires_grad_() if name in differentiable else value
        for name, value in inputs.items()
    }
    return outputs_of(fn(**leaves)), [leaves[name] for name in differentiable]


def run(
    fn: Callable[..., Any],
    inputs: Mapping[str, Any],
    differentiable: Sequence[str],
    layout: Layout = "dense",
) -> tuple[Values, Values]:
    """Call `fn(**inputs)` and differentiate a fixed random projection of its first output.

    Args:
        fn: Anybody's function.
        inputs: Its arguments.
        differentiable: Those of them that get a gradient.
        layout: How the gradient that comes from above lies in memory.

    Returns:
        (outputs by index, gradients by input name).
    """
    outputs, wanted = begin(fn, inputs, differentiable)
    gradients: Sequence[Tensor] = []
    if wanted:
        gradients = differentiate(outputs[0], wanted, upstream_of(outputs[0], layout))
    values = {f"output {i}": output.detach() for i, output in enumerate(outputs)}
    return values, dict(zip(differentiable, gradients, strict=True))


def measure(
    fn: Callable[..., Any],
    reference: Callable[..., Any],
    peer: Callable[..., Any],
    inputs: Mapping[str, Any],
    differentiable: Sequence[str] = (),
    layout: Layout = "dense",
) -> list[Errors]:
    """The errors of `fn`, and of `peer` in the same dtype, against `reference` in float64."""
    dtype = next(v.dtype for v in inputs.values() if torch.is_tensor(v) and v.is_floating_point())
    wide = {
        name: value.double() if torch.is_tensor(value) and value.is_floating_point() else value
        for name, value in inputs.items()
    }
    # `fn` last: it is anybody's, and may spoil the inputs that it shares with the others.
    exact, own, yours = (
        outputs | {f"gradient of {name}": gradient for name, gradient in gradients.items()}
        for outputs, gradients in (
            run(reference, wide, differentiable, layout),
            run(peer, inputs, differentiable, layout),
            run(fn, inputs, differentiable, layout),
        )
    )
    assert yours.keys() == exact.keys(), (
        f"returned {len(yours) - len(differentiable)} results, not "
        f"{len(exact) - len(differentiable)}"
    )
    errors = []
    steepest = max((_largest(r) for what, r in exact.items() if what.startswith("grad")), default=0)
    cancelled = _cancelled(wide) if exact["output 0"].ndim == 0 else (0.0, 0.0)
    for what, r in exact.items():
        y = yours[what]
        assert y.shape == r.shape, f"{what} has shape {tuple(y.shape)}, not {tuple(r.shape)}"
        pytorch = _largest(_difference(own[what], r))
        scale, of_terms = (
            (steepest, cancelled[1]) if what.startswith("grad") else (_largest(r), cancelled[0])
        )
        bound = 2 * pytorch + FLOOR[dtype] * scale + of_terms
        name = str(dtype).removeprefix("torch.")
        # max() lets NaN through, and NaN is within no bound.
        difference = _difference(y, r).abs()
        error = float(difference.max()) if difference.numel() else 0.0
        errors.append(Errors(what, name, error, pytorch, bound))
    return errors


def assert_accurate(errors: Sequence[Errors]) -> None:
    """Hold every error to its bound; NaN fails."""
    for error in errors:
        assert error.yours <= error.bound, (
            f"{error.what} in {error.dtype}: error {error.yours:.2e} > {error.bound:.2e} = "
            f"2 x PyTorch's own {error.pytorch:.2e} + floor"
        )


def _cancelled(inputs: Mapping[str, Any]) -> tuple[float, float]:
    """What rounding leaves of the terms of a loss that cancel, and of those of its gradient."""
    floats = [x for x in inputs.values() if torch.is_tensor(x) and x.is_floating_point()]
    loss = FLOOR[torch.float32] * max(1.0, *map(_largest, floats))
    rows = floats[0].numel() // max(floats[0].shape[-1], 1)
    return loss, loss / max(rows, 1)


def _difference(actual: Tensor, exact: Tensor) -> Tensor:
    """Element by element; equal infinities differ by 0, and so does NaN where NaN is exact."""
    same = (actual == exact) | (actual.isnan() & exact.isnan())
    return torch.where(same, 0.0, actual.double() - exact)


def _largest(x: Tensor) -> float:
    finite = x[torch.isfinite(x)]
    return float(finite.abs().max()) if finite.numel() else 0.0
