"""The laws of `embedding_layer_norm(input_ids, position_ids, word, position, weight, bias, ...)`.

Not here: how laws are tried (`report.py`), the laws of every operation (`common.py`).
"""

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

from minidistil_kernels import reference
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import differentiate, upstream_of
from minidistil_kernels.testing.common import Operation, check, common_laws
from minidistil_kernels.testing.report import Law, Report

DIFFERENTIABLE = ("word", "position", "weight", "bias")


@dataclass(frozen=True)
class Case:
    """Ids from a small vocabulary, so that many repeat, and normal tables.

    Attributes:
        positions: "counted" from 0; "restarting" at 0, as in a packed batch; or drawn for each
            token, the batch included: its "own".
    """

    batch: int = 2
    length: int = 9
    width: int = 64
    vocabulary: int = 5
    padding_idx: int | None = None
    dtype: torch.dtype = torch.float32
    positions: str = "counted"
    eps: float = 1e-12
    axes: int = 2
    integers: torch.dtype = torch.int64
    seed: int = 0

    def inputs(self) -> dict[str, Any]:
        """The arguments of `embedding_layer_norm`."""
        generator = torch.Generator().manual_seed(self.seed)
        # Packed, a batch, or the choices of multiple choice.
        shape = {
            1: (self.batch * self.length,),
            2: (self.batch, self.length),
            3: (self.batch, 1, self.length),
        }[self.axes]
        positions = torch.arange(shape[-1])
        if self.positions == "restarting":
            positions %= 3
        elif self.positions == "own":
            positions = torch.randint(shape[-1], shape, generator=generator)
        ids = torch.randint(self.vocabulary, shape, generator=generator)
        return {
            "input_ids": ids.to(drawing.DEVICE, self.integers),
            "position_ids": positions.to(drawing.DEVICE, self.integers),
            "word": drawing.normal(self.seed, (self.vocabulary, self.width), self.dtype),
            "position": drawing.normal(self.seed + 1, (shape[-1] + 2, self.width), self.dtype),
            "weight": drawing.normal(self.seed + 2, (self.width,), self.dtype) + 1,
            "bias": drawing.normal(self.seed + 3, (self.width,), self.dtype),
        } | drawing.options(
            reference.embedding_layer_norm, eps=self.eps, padding_idx=self.padding_idx
        )


CASES = st.builds(
    Case,
    batch=st.integers(1, 2),
    length=st.integers(1, 8),
    # One or two elements are normalised to 0 or +-1 whatever they are: the gradient is rounding.
    width=st.integers(3, 130),
    vocabulary=st.sampled_from([2, 8]),  # few: many places of one id
    padding_idx=st.sampled_from([None, 0, 1, -1]),
    dtype=drawing.DTYPES,
    positions=st.sampled_from(["counted", "restarting", "own"]),
    eps=st.sampled_from([1e-12, 1e-5, 0.1]),
    axes=drawing.AXES,
    integers=st.sampled_from([torch.int64, torch.int32]),
    seed=drawing.SEEDS,
)
HARD = (
    Case(2, 4, 33, 3, 1, positions="restarting", eps=0.1, axes=1, integers=torch.int32),
    Case(2, 5, 20, 3, -1, torch.float16, positions="own", axes=3),
)
MANY = (Case(1, 130, 5, vocabulary=1),)  # one row of the table, in all of them


def padding_learns_nothing(fn: Operation, case: Case) -> None:
    """The row of the padding token is read, but gets no gradient."""
    row = case.padding_idx or 0
    inputs: dict[str, Any] = case.inputs() | {"padding_idx": row}
    inputs["input_ids"][0] = row % case.vocabulary
    word = inputs["word"].requires_grad_()
    y = fn(**inputs)
    assert torch.equal(y, fn(**inputs | {"padding_idx": None})), "padding_idx changes the result"
    (gradient,) = differentiate(y, [word], upstream_of(y))
    assert (gradient[row] == 0).all(), "the row of the padding token has a gradient"


def permutable(fn: Operation, case: Case) -> None:
    """Tokens do not see each other: another order gives the same rows in that order."""
    inputs = case.inputs()
    flipped = inputs | {name: inputs[name].flip(-1) for name in ("input_ids", "position_ids")}
    assert torch.equal(fn(**flipped), fn(**inputs).flip(-2)), "the order of the tokens matters"


LAWS = [
    *common_laws(
        reference.embedding_layer_norm, DIFFERENTIABLE, ["word", "position"], CASES, HARD, MANY
    ),
    *(Law(law, CASES, HARD) for law in (padding_learns_nothing, permutable)),
]


def check_embedding_layer_norm(fn: Operation, examples: int = 20) -> Report:
    """Try every law of `embedding_layer_norm` on `fn`, and measure its errors at D = 768.

    Args:
        fn: Anybody's function; its result is differentiated.
        examples: Random cases a law.
    """
    case = Case(2, 16, 768, 50)
    return check(reference.embedding_layer_norm, DIFFERENTIABLE, LAWS, case, fn, examples)
