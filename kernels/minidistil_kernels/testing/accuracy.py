"""How far a result is from the exact one, and how far it may be.

The exact result is the reference in float64 on the same (already rounded) inputs. PyTorch's own
result in the dtype under test says what that dtype can achieve. The rule, for outputs and for
gradients, with r the exact result:

    max|y - r|  <=  2 * max|y_torch - r|  +  FLOOR[dtype] * max|r|

For a gradient the last max runs over all gradients of the call: one that is zero in mathematics,
as that of a query with a single key, is the rounding of others. An element where PyTorch itself
gives NaN or overflows says nothing of what the dtype can achieve, and is left out of its error.

Not here: the laws that use it (one file an operation).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# About one unit in the last place of the largest value in half precision, eight in float32:
# PyTorch's own error can be zero by luck on a small case.
FLOOR = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}

Values = dict[str, Tensor]


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


def run(
    fn: Callable[..., Any], inputs: Mapping[str, Any], differentiable: Sequence[str]
) -> tuple[Values, Values]:
    """Call `fn(**inputs)` and differentiate a fixed random projection of its first output.

    Returns:
        (outputs by index, gradients by input name).
    """
    leaves = {
        name: value.detach().requires_grad_() if name in differentiable else value
        for name, value in inputs.items()
    }
    outputs = outputs_of(fn(**leaves))
    first = outputs[0]
    # Drawn in float32 from one seed, so that every dtype gets the same upstream gradient.
    generator = torch.Generator().manual_seed(first.numel())
    upstream = torch.randn(first.shape, generator=generator).to(first)
    wanted = [leaves[name] for name in differentiable]
    gradients = []
    if wanted:
        gradients = torch.autograd.grad(first, wanted, upstream, materialize_grads=True)
    values = {f"output {i}": output.detach() for i, output in enumerate(outputs)}
    return values, dict(zip(differentiable, gradients, strict=True))


def measure(
    fn: Callable[..., Any],
    reference: Callable[..., Any],
    peer: Callable[..., Any],
    inputs: Mapping[str, Any],
    differentiable: Sequence[str] = (),
) -> list[Errors]:
    """The errors of `fn` and of PyTorch's own `peer` against `reference` in float64."""
    dtype = next(v.dtype for v in inputs.values() if torch.is_tensor(v) and v.is_floating_point())
    wide = {
        name: value.double() if torch.is_tensor(value) and value.is_floating_point() else value
        for name, value in inputs.items()
    }
    # `fn` last: it is anybody's, and may spoil the inputs that it shares with the others.
    exact, own, yours = (
        outputs | {f"gradient of {name}": gradient for name, gradient in gradients.items()}
        for outputs, gradients in (
            run(reference, wide, differentiable),
            run(peer, inputs, differentiable),
            run(fn, inputs, differentiable),
        )
    )
    assert yours.keys() == exact.keys(), (
        f"returned {len(yours) - len(differentiable)} results, not "
        f"{len(exact) - len(differentiable)}"
    )
    rows = []
    steepest = max((_largest(r) for what, r in exact.items() if what.startswith("grad")), default=0)
    for what, r in exact.items():
        y = yours[what]
        assert y.shape == r.shape, f"{what} has shape {tuple(y.shape)}, not {tuple(r.shape)}"
        pytorch = _largest(_difference(own[what], r))
        scale = steepest if what.startswith("grad") else _largest(r)
        bound = 2 * pytorch + FLOOR[dtype] * scale
        name = str(dtype).removeprefix("torch.")
        # max() lets NaN through, and NaN is within no bound.
        difference = _difference(y, r).abs()
        error = float(difference.max()) if difference.numel() else 0.0
        rows.append(Errors(what, name, error, pytorch, bound))
    return rows


def assert_accurate(errors: Sequence[Errors]) -> None:
    """Hold every error to its bound; NaN fails."""
    for error in errors:
        assert error.yours <= error.bound, (
            f"{error.what} in {error.dtype}: error {error.yours:.2e} > {error.bound:.2e} = "
            f"2 x PyTorch's own {error.pytorch:.2e} + floor"
        )


def _difference(actual: Tensor, exact: Tensor) -> Tensor:
    """Element by element; equal infinities differ by 0, and so does NaN where NaN is exact."""
    same = (actual == exact) | (actual.isnan() & exact.isnan())
    return torch.where(same, 0.0, actual.double() - exact)


def _largest(x: Tensor) -> float:
    finite = x[torch.isfinite(x)]
    return float(finite.abs().max()) if finite.numel() else 0.0
