"""How far two models are apart, and from which layer on.

    difference(a, b) = max|a - b| / max(1, max|b|)

b is the reference, a is ours. Below 1 the difference is absolute, above it is relative to the
largest number of the reference. It says whether two results agree; the first layer at which they do
not says where to look for the mistake.

The trap: every comparison with NaN is False, so a model that gives nothing but NaN is never "more
than the bound" away. And a reference with one infinity makes every quotient 0. So:

    where both are NaN, or the same infinity, they agree: 0;
    where else one of them is NaN or infinite, the difference is infinite;
    max|b| is taken over the finite numbers of b.

Shapes: a and b of one shape and dtype. The result is a Python float, 0.0 if there are no numbers.
first_apart takes two lists of as many tensors; its result is an index, counted from 0, or None.
Source: docs/notation.md, "Tolerances"; tutorials/05_reference.py, section 3.
"""

import torch


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest |a - b|, relative to the larger of 1 and the largest finite |b|."""
    if a.numel() == 0:
        return 0.0
    # answer
    agree = (a == b) | (a.isnan() & b.isnan())
    gap = (a - b).abs().masked_fill(agree, 0.0)
    gap = gap.masked_fill(gap.isnan(), torch.inf)
    scale = b.masked_fill(~b.isfinite(), 0.0).abs().max().clamp(min=1)
    return float(gap.max() / scale)
    # end


def first_apart(
    ours: list[torch.Tensor], theirs: list[torch.Tensor], bound: float = 1e-5
) -> int | None:
    """The first layer whose difference is above the bound."""
    # answer
    for layer, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if difference(a, b) > bound:
            return layer
    return None
    # end
