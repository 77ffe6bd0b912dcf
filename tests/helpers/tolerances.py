"""The one table of tolerances, and the two metrics they apply to. Nothing loosens them elsewhere.

Forward: the largest difference over max(1, largest value). Gradients: the norm of the difference
over the larger of the parameter's gradient norm and a thousandth of the model's largest one; a key
bias, whose gradient is zero in mathematics, is then not held to the noise in it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

# dtype -> (bound of the forward metric, reason)
FORWARD = {
    torch.float32: (1e-5, "transformers' own eager and sdpa differ by up to 5.8e-6"),
    torch.float64: (1e-12, "thousands of roundings of 1.1e-16"),
}
GRADIENT = 1e-9  # in float64; in float32 the reference disagrees with itself by up to 1.2e-3


def forward_error(actual: Tensor, expected: Tensor) -> float:
    """The forward metric of one tensor."""
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    assert actual.dtype == expected.dtype, (actual.dtype, expected.dtype)
    if expected.numel() == 0:
        return 0.0
    difference = (actual.detach() - expected.detach()).abs().max()
    return float(difference / expected.detach().abs().max().clamp(min=1))


def assert_close(actual: Tensor, expected: Tensor, what: str = "") -> None:
    """Hold a forward result to the table; NaN fails."""
    bound, reason = FORWARD[expected.dtype]
    error = forward_error(actual, expected)
    assert error <= bound, f"{what}: error {error:.2e} > {bound} ({reason})"


def assert_gradients_close(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Hold every gradient to the table; the names must agree."""
    assert actual.keys() == expected.keys()
    floor = 1e-3 * max(float(g.norm()) for g in expected.values())
    assert floor > 0, "no gradient at all proves nothing"
    for name, gradient in expected.items():
        assert gradient.dtype == torch.float64
        error = float((actual[name] - gradient).norm()) / max(float(gradient.norm()), floor)
        assert error <= GRADIENT, f"{name}: gradient error {error:.2e} > {GRADIENT}"
