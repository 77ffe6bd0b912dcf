"""The laws of dropout inside attention. Its random numbers come from torch's generator.

With the identity matrix as value, the context *is* the matrix of weights after dropout: so the
mask can be seen from outside, whatever the function is.

Not here: attention without dropout (`attention.py`), how it is called (`attention_form.py`).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import assert_accurate, measure
from minidistil_kernels.testing.attention_form import QKV, Padded, context_of
from minidistil_kernels.testing.report import Law


@dataclass(frozen=True)
class Case:
    """Queries and keys, the identity as value, and a probability of dropping a weight."""

    batch: int = 2
    heads: int = 2
    size: int = 32
    dropout_p: float = 0.5
    mask: str = "none"
    scale: float | None = None
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `padded`: S = K = size."""
        shape = (self.batch, self.heads, self.size, self.size)
        return {
            "query": drawing.normal(self.seed, shape),
            "key": drawing.normal(self.seed + 1, shape),
            "value": torch.eye(self.size, device=drawing.DEVICE).expand(shape).contiguous(),
            "mask": self.key_mask(),
            "scale": self.scale,
            "dropout_p": self.dropout_p,
        }

    def key_mask(self) -> Tensor | None:
        """Which keys count, (B, 1, 1, S); the first always does."""
        mask = drawing.mask(self.seed, self.mask, (self.batch, 1, 1, self.size))
        if mask is not None:
            mask[..., 0] = True
        return mask

    def keeps(self, fn: Padded) -> Tensor:
        """1 / (1 - p) where `fn`, seeded with the case's seed, keeps a weight, else 0."""
        inputs = self.inputs()
        torch.manual_seed(self.seed)
        attend = context_of(fn)
        dropped = attend(**inputs)
        whole = attend(**inputs | {"dropout_p": 0.0})
        assert (dropped[whole == 0] == 0).all(), "dropout gives weight to a masked key"
        ratio = torch.where(whole == 0, 0.0, dropped / whole)
        kept = 1 / (1 - self.dropout_p)
        assert torch.isclose(ratio, torch.where(ratio > 0, kept, 0.0), atol=1e-4).all(), (
            f"a weight is neither 0 nor {kept:.3f} of what it is without dropout"
        )
        return torch.where(ratio > 0, kept, 0.0)


CASES = st.builds(
    Case,
    batch=st.integers(1, 2),
    heads=st.integers(1, 2),
    size=st.sampled_from([32, 64]),
    dropout_p=st.sampled_from([0.1, 0.5, 0.9]),
    mask=st.sampled_from(["none", "random"]),
    scale=st.sampled_from([None, 0.02]),
    seed=drawing.SEEDS,
)


def drops_the_share(fn: Padded, case: Case) -> None:
    """Dropout drops the share it is told to, and divides what stays by 1 - p."""
    keeps = replace(case, mask="none").keeps(fn)
    share = float((keeps == 0).double().mean())
    # Five standard deviations of a mean of independent coins.
    bound = 5 * (case.dropout_p * (1 - case.dropout_p) / keeps.numel()) ** 0.5
    assert abs(share - case.dropout_p) <= bound, f"dropped {share:.3f}, told {case.dropout_p}"


def draws_each_weight_anew(fn: Padded, case: Case) -> None:
    """No two texts, heads, queries or keys share their random numbers."""
    keeps = Case(case.batch, case.heads, 64, 0.5, seed=case.seed).keeps(fn)
    queries = keeps.reshape(-1, 64)
    keys = keeps.transpose(-1, -2).reshape(-1, 64)
    for name, rows in (("queries", queries), ("keys", keys)):
        # 64 fair coins agree by chance once in 2^64.
        assert len(rows.unique(dim=0)) == len(rows), f"two {name} drop the same weights"


def follows_the_seed(fn: Padded, case: Case) -> None:
    """Torch's seed decides what is dropped; without a new seed the next call drops others."""
    inputs = case.inputs()
    torch.manual_seed(case.seed)
    first, second = (context_of(fn)(**inputs) for _ in range(2))
    torch.manual_seed(case.seed)
    again = context_of(fn)(**inputs)
    assert torch.equal(first, again), "the same seed gave another mask"
    assert not torch.equal(first, second), "the next call dropped the same weights"


def backward_sees_the_mask(fn: Padded, case: Case) -> None:
    """The backward pass drops the very weights that the forward pass dropped."""
    keeps = case.keeps(fn)

    def seeded(**inputs: Any) -> Tensor:
        torch.manual_seed(case.seed)
        return context_of(fn)(**inputs)

    def masked(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
        scores = query @ key.transpose(-1, -2) * (case.scale or case.size**-0.5)
        mask = case.key_mask()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return (scores.softmax(-1) * keeps.to(query.dtype)) @ value

    assert_accurate(measure(seeded, masked, masked, case.inputs(), QKV))


DROPOUT_LAWS = [
    Law(drops_the_share, CASES),
    Law(draws_each_weight_anew, CASES),
    Law(follows_the_seed, CASES),
    Law(backward_sees_the_mask, CASES),
]
