"""The laws of dropout inside attention. Its random numbers come from torch's generator.

With K columns of the identity matrix as value, the context *is* K columns of the matrix of weights
after dropout: so the mask can be seen from outside, whatever the function is.

Not here: attention without dropout (`attention.py`), how it is called (`attention_form.py`), the
packed form (`attention_packed_dropout.py`).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from minidistil_kernels import reference
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import FLOOR, assert_accurate, measure
from minidistil_kernels.testing.attention_form import QKV, Padded, call, context_of, pair_of
from minidistil_kernels.testing.report import Law


@dataclass(frozen=True)
class Case:
    """Queries, keys and values, and a probability of dropping a weight."""

    batch: int = 2
    heads: int = 2
    length: int = 32
    width: int = 64
    dropout_p: float = 0.5
    dtype: torch.dtype = torch.float32
    mask: str = "none"
    scale: float | None = None
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `padded`."""
        shape = (self.batch, self.heads, self.length, self.width)
        return (
            {name: drawing.normal(self.seed + i, shape, self.dtype) for i, name in enumerate(QKV)}
            | {"mask": self.key_mask(), "dropout_p": self.dropout_p}
            | drawing.options(reference.attention, scale=self.scale)
        )

    def key_mask(self) -> Tensor | None:
        """Which keys count, (B, 1, 1, S); the first always does."""
        mask = drawing.mask(self.seed, self.mask, (self.batch, 1, 1, self.length))
        if mask is not None:
            mask[..., 0] = True
        return mask

    def keeps(self, fn: Padded) -> Tensor:
        """1 / (1 - p) where `fn`, seeded with the case's seed, keeps a weight, else 0."""
        kept = 1 / (1 - self.dropout_p)
        dropped, whole = self._weights(fn, self.dropout_p), self._weights(fn, 0.0) * kept
        assert (dropped[whole == 0] == 0).all(), "dropout gives weight to a masked key"
        keeps = dropped > whole / 2
        # Weights of one call and the other are rounded, the smallest to the spacing of subnormals.
        rounding = torch.finfo(self.dtype)
        relative = 4 * rounding.eps + 1e-4
        absolute = 4 * kept * rounding.smallest_normal * rounding.eps
        assert torch.isclose(dropped, whole * keeps, relative, absolute).all(), (
            f"a weight is neither 0 nor {kept:.3f} of what it is without dropout"
        )
        return keeps * kept

    def _weights(self, fn: Padded, dropout_p: float) -> Tensor:
        """(B, H, S, S), K columns a call, each call from the same seed."""
        inputs = self.inputs() | {"dropout_p": dropout_p}
        columns = []
        for unit in torch.eye(self.length, device=drawing.DEVICE).split(self.width, -1):
            value = torch.zeros_like(inputs["value"])
            value[..., : unit.shape[-1]] = unit
            torch.manual_seed(self.seed)
            columns.append(context_of(fn)(**inputs | {"value": value})[..., : unit.shape[-1]])
        return torch.cat(columns, -1).double()


CASES = st.builds(
    Case,
    batch=st.integers(1, 2),
    heads=st.integers(1, 2),
    length=st.sampled_from([32, 9, 33, 64, 70]),
    width=st.sampled_from([64, 40]),
    dropout_p=st.sampled_from([0.1, 0.5, 0.9]),
    dtype=drawing.DTYPES,
    mask=st.sampled_from(["none", "random"]),
    scale=st.sampled_from([None, 0.02]),
    seed=drawing.SEEDS,
)
HARD = (
    Case(1, 1, 130, 128),
    Case(1, 2, 70, 128, 0.1, torch.float16),
    Case(1, 1, 33, 40, 0.1, torch.bfloat16, "random"),
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
    length = max(case.length, 64)
    keeps = replace(case, length=length, dropout_p=0.5, mask="none").keeps(fn)
    queries = keeps.reshape(-1, length)
    keys = keeps.transpose(-1, -2).reshape(-1, length)
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
        scores = query @ key.transpose(-1, -2) * (case.scale or case.width**-0.5)
        mask = case.key_mask()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return (scores.softmax(-1) * keeps.to(query.dtype)) @ value

    assert_accurate(measure(seeded, masked, masked, case.inputs(), QKV))


def shows_the_weights_it_used(fn: Padded, case: Case) -> None:
    """Asked for its weights, returns them as they are after dropout, or raises a ValueError."""
    inputs = case.inputs()
    try:
        context, weights = pair_of(call(fn, inputs | {"need_weights": True}))
    except ValueError:
        return
    assert weights is not None, "asked for weights, returned None"
    weights, value = weights.double(), inputs["value"].double()
    slack = 4 * FLOOR[case.dtype] * (weights.abs() @ value.abs()).amax()
    assert ((context - weights @ value).abs() <= slack).all(), "context is not weights @ value"


DROPOUT_LAWS = [
    Law(check, CASES, HARD)
    for check in (
        drops_the_share,
        draws_each_weight_anew,
        follows_the_seed,
        backward_sees_the_mask,
        shows_the_weights_it_used,
    )
]
