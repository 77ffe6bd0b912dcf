"""The laws of `cross_entropy(logits, labels)` and of `linear_cross_entropy`, its fused form.

Not here: how laws are tried (`report.py`), the laws of every operation (`common.py`).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st

from minidistil_kernels import reference
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import (
    FLOOR,
    assert_accurate,
    differentiate,
    measure,
    run,
)
from minidistil_kernels.testing.common import Operation, check, common_laws
from minidistil_kernels.testing.report import Law, Report


@dataclass(frozen=True)
class Case:
    """Rows of normal logits; a share of the labels is ignored."""

    rows: int = 4
    classes: int = 100
    ignored: float = 0.3
    dtype: torch.dtype = torch.float32
    scale: float = 1.0
    ignore_index: int = -100
    seed: int = 0

    def labels(self) -> torch.Tensor:
        """(N,), of which the share `ignored`, and what is drawn so, is `ignore_index`."""
        generator = torch.Generator().manual_seed(self.seed + 7)
        labels = torch.randint(self.classes, (self.rows,), generator=generator)
        labels[torch.rand(self.rows, generator=generator) < self.ignored] = self.ignore_index
        return labels.to(drawing.DEVICE)

    def inputs(self) -> dict[str, Any]:
        """The arguments of `cross_entropy`."""
        shape = (self.rows, self.classes)
        logits = drawing.normal(self.seed, shape, self.dtype, self.scale)
        option = drawing.options(reference.cross_entropy, ignore_index=self.ignore_index)
        return {"logits": logits, "labels": self.labels()} | option


@dataclass(frozen=True)
class LinearCase(Case):
    """The same labels, and logits still to be computed from hidden states."""

    width: int = 32

    def inputs(self) -> dict[str, Any]:
        """The arguments of `linear_cross_entropy`."""
        weight = drawing.normal(self.seed + 1, (self.classes, self.width), self.dtype, 0.3)
        return {
            "hidden": drawing.normal(self.seed, (self.rows, self.width), self.dtype, self.scale),
            "weight": weight,
            "bias": drawing.normal(self.seed + 2, (self.classes,), self.dtype),
            "labels": self.labels(),
        } | drawing.options(reference.linear_cross_entropy, ignore_index=self.ignore_index)


DRAWN = {
    "rows": st.integers(1, 6),
    "classes": st.integers(1, 150),
    "ignored": st.sampled_from([0.0, 0.3]),
    "dtype": drawing.DTYPES,
    "scale": st.sampled_from([0.01, 1.0, 5.0]),
    "ignore_index": st.sampled_from([-100, -1, 0]),  # a class may be the one that is ignored
    "seed": drawing.SEEDS,
}
CASES = st.builds(Case, **DRAWN)
LINEAR_CASES = st.builds(LinearCase, **DRAWN, width=st.integers(1, 70))
HARD = (
    Case(2, 5000),  # logits in several tiles, the last not full
    Case(5, 2, dtype=torch.float16, ignore_index=0),
    Case(9, 5, ignore_index=2),  # one in the middle
    Case(1, 1, 0.0, torch.bfloat16),
)
MANY = (Case(130, 3), Case(0, 3))
LINEAR_HARD = (
    LinearCase(5, 2, dtype=torch.float16, ignore_index=0),
    LinearCase(9, 5, ignore_index=2),
    LinearCase(1, 1, 0.0, torch.bfloat16),
)
LINEAR_MANY = (
    LinearCase(70, 130, width=70),  # more than a tile of rows, of classes, of columns
    LinearCase(2, 4500, width=16),
    LinearCase(3, 9, width=800),
    LinearCase(300, 5, width=6),
    LinearCase(0, 3, width=6),
)


def nothing_to_learn(fn: Operation, case: Case) -> None:
    """With every label ignored the loss is 0, and so are the gradients."""
    inputs = replace(case, ignored=1.1).inputs()
    floats = [name for name in inputs if name not in ("labels", "ignore_index")]
    outputs, gradients = run(fn, inputs, floats)
    loss = outputs["output 0"]
    assert loss == 0, f"the loss of no labels is {float(loss)}"
    for name, gradient in gradients.items():
        assert (gradient == 0).all(), f"the gradient of {name} is not 0"


def ignored_rows_do_not_count(fn: Operation, case: Case) -> None:
    """A row whose label is ignored changes no bit and gets no gradient."""
    inputs = case.inputs()
    rows = next(iter(inputs))  # logits or hidden
    inputs["labels"][0] = case.ignore_index
    before = fn(**inputs)
    inputs[rows] = inputs[rows].clone()
    inputs[rows][0] = 7.0
    leaf = inputs[rows].requires_grad_()
    loss = fn(**inputs)
    assert torch.equal(loss, before), "an ignored row changed the loss"
    assert (differentiate(loss, [leaf])[0][0] == 0).all(), "an ignored row has a gradient"


def uniform(fn: Operation, case: Case) -> None:
    """Equal logits of V classes cost ln V."""
    inputs = replace(case, ignored=0.0, ignore_index=-100).inputs()
    loss = fn(inputs["logits"] * 0 + 3.0, inputs["labels"])
    expected = math.log(case.classes)
    assert abs(float(loss) - expected) <= FLOOR[torch.float32] * max(1, expected), (
        f"{float(loss)} is not ln {case.classes} = {expected}"
    )


def extreme(fn: Operation, case: Case) -> None:
    """Logits of +-10,000 neither overflow nor underflow."""
    inputs = case.inputs()
    name = "logits" if "logits" in inputs else "bias"
    inputs[name] = inputs[name].sign() * 1e4
    _assert_accurate(fn, inputs)


def impossible_class(fn: Operation, case: Case) -> None:
    """A class whose logit is -inf is as good as absent, where it is not the label."""
    inputs = replace(case, classes=case.classes + 1).inputs()
    inputs["labels"][inputs["labels"] == 0] = case.ignore_index
    name = "logits" if "logits" in inputs else "bias"
    inputs[name][..., 0] = -torch.inf
    _assert_accurate(fn, inputs)


def nan_stays(fn: Operation, case: Case) -> None:
    """NaN in one row makes the loss NaN, and the gradient of that row only."""
    inputs = replace(case, ignored=0.0, ignore_index=-100).inputs()
    rows = next(iter(inputs))  # logits or hidden
    inputs[rows][-1, 0] = float("nan")
    leaf = inputs[rows].requires_grad_()
    loss = fn(**inputs)
    assert loss.isnan(), "NaN was lost"
    (gradient,) = differentiate(loss, [leaf])
    assert not gradient[:-1].isnan().any(), "NaN in one row reached the gradient of another"


def _assert_accurate(fn: Operation, inputs: dict[str, Any]) -> None:
    """Hold the loss and the gradient of logits or bias to the reference."""
    name = "logits" if "logits" in inputs else "bias"
    twin = reference.cross_entropy if name == "logits" else reference.linear_cross_entropy
    assert_accurate(measure(fn, twin, twin, inputs, [name]))


OWN_LAWS = (nothing_to_learn, ignored_rows_do_not_count, extreme, impossible_class, nan_stays)
LAWS = [
    *common_laws(reference.cross_entropy, ["logits"], ["logits"], CASES, HARD, MANY, loss=True),
    *(Law(law, CASES, HARD) for law in (*OWN_LAWS, uniform)),
]
LINEAR_LAWS = [
    *common_laws(
        reference.linear_cross_entropy,
        ["hidden", "weight", "bias"],
        ["hidden", "weight"],
        LINEAR_CASES,
        LINEAR_HARD,
        LINEAR_MANY,
        loss=True,
    ),
    *(Law(law, LINEAR_CASES, LINEAR_HARD) for law in OWN_LAWS),
]


def check_cross_entropy(fn: Operation, examples: int = 20) -> Report:
    """Try every law of `cross_entropy` on `fn`, and measure its errors at V = 3000.

    Args:
        fn: Anybody's function; its result is differentiated.
        examples: Random cases a law.
    """
    case = Case(8, 3000, scale=3.0)
    return check(reference.cross_entropy, ["logits"], LAWS, case, fn, examples)


def check_linear_cross_entropy(fn: Operation, examples: int = 20) -> Report:
    """Try every law of `linear_cross_entropy` on `fn`, and measure its errors at V = 3000.

    Args:
        fn: Anybody's function; its result is differentiated.
        examples: Random cases a law.
    """
    differentiable = ["hidden", "weight", "bias"]
    case = LinearCase(8, 3000, width=64)
    return check(reference.linear_cross_entropy, differentiable, LINEAR_LAWS, case, fn, examples)
