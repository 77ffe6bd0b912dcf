"""What padded attention is tried on, and what it is compared with.

Not here: the laws (`attention.py`), how attention is called (`attention_form.py`).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from minidistil_kernels import reference
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import outputs_of
from minidistil_kernels.testing.attention_form import QKV


@dataclass(frozen=True)
class Case:
    """Normal queries, keys and values, and a key mask."""

    batch: int = 2
    heads: int = 2
    length: int = 70
    width: int = 64
    dtype: torch.dtype = torch.float32
    mask: str = "random"
    scale: float | None = None
    seed: int = 0

    def key_mask(self) -> Tensor | None:
        """Which keys count, (B, S)."""
        return drawing.mask(self.seed, self.mask, (self.batch, self.length))

    def inputs(self) -> dict[str, Any]:
        """The arguments of `padded`."""
        shape = (self.batch, self.heads, self.length, self.width)
        mask = self.key_mask()
        return (
            {name: drawing.normal(self.seed + i, shape, self.dtype) for i, name in enumerate(QKV)}
            | {"mask": None if mask is None else mask[:, None, None]}
            | drawing.options(reference.attention, scale=self.scale)
        )


# Few texts and heads: what they cost buys more in other places. Hard cases have more.
CASES = st.builds(
    Case,
    batch=st.integers(1, 2),
    heads=st.integers(1, 2),
    # Every small length, and both sides of where tiles end.
    length=st.integers(1, 40) | st.sampled_from([63, 64, 65, 100]),
    width=st.sampled_from([16, 24, 32, 40, 64, 80, 96, 128]),
    dtype=drawing.DTYPES,
    mask=drawing.MASKS,
    # Larger ones amplify the rounding of gradients that are zero in mathematics.
    scale=st.sampled_from([None, 0.02, 0.1]),
    seed=drawing.SEEDS,
)
# For laws about what calls owe each other, which take many and hardly depend on the shape.
SHORT = CASES.map(lambda case: replace(case, length=min(case.length, 20), heads=1))
# Where a loop over tiles takes its second and third turn, and one key is left; more heads than
# two, and as many as no power of two; a scale far from 1 / sqrt(K).
HARD = (
    Case(1, 1, 257, 16),
    Case(1, 1, 130, 64, torch.float16),
    Case(2, 5, 9, 32),
    Case(1, 1, 20, 16, mask="none", scale=0.5),
)
# For laws that are about something else: more than one tile, in half precision, with a mask.
HARD_ENOUGH = (Case(1, 2, 70, 40, torch.bfloat16),)


def exact(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None = None
) -> Tensor:
    """The specification, called as the model calls attention."""
    key_mask = None if mask is None else mask[:, 0, 0]
    return outputs_of(reference.attention(query, key, value, key_mask, scale=scale))[0]


def sdpa(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None = None
) -> Tensor:
    """PyTorch's own fused attention; an empty query gets zeros."""
    if mask is None:
        return F.scaled_dot_product_attention(query, key, value, scale=scale)
    empty = ~mask.any(-1, keepdim=True)
    context = F.scaled_dot_product_attention(query, key, value, mask | empty, scale=scale)
    return context.masked_fill(empty, 0.0)
