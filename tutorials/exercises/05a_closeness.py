"""Laws of `difference(a, b)` and `first_apart(ours, theirs, bound)`: NaN and infinity included."""

import math
from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law

HINTS = [
    "First where they agree: a == b, which holds of equal infinities, or both are NaN.",
    "a - b is NaN where one side is. Fill 0 in where they agree, then inf where it still is NaN.",
    "The scale: fill 0 in where b is not finite, abs(), max(), and at least 1.",
]
WRONG = {
    "NaN against a number is no difference": (
        "gap.masked_fill(gap.isnan(), torch.inf)",
        "gap.masked_fill(gap.isnan(), 0.0)",
    ),
    "NaN against a number is NaN": ("    gap = gap.masked_fill(gap.isnan(), torch.inf)\n", ""),
    "NaN never agrees": (" | (a.isnan() & b.isnan())", ""),
    "an infinite reference makes all else small": (
        "b.masked_fill(~b.isfinite(), 0.0).abs()",
        "b.abs()",
    ),
    "relative below 1, too": (".clamp(min=1)", ""),
    "relative to ours": ("b.masked_fill(~b.isfinite()", "a.masked_fill(~a.isfinite()"),
    "the mean difference": ("gap.max()", "gap.mean()"),
    "a difference that equals the bound counts": ("> bound", ">= bound"),
    "layers count from 1": ("theirs, strict=True))", "theirs, strict=True), 1)"),
    "the last layer that differs": (
        "enumerate(zip(ours, theirs, strict=True))",
        "reversed([*enumerate(zip(ours, theirs, strict=True))])",
    ),
}
NAN, INF = math.nan, math.inf


def tensors(pairs):
    """The first and the second of each pair."""
    numbers = torch.tensor(pairs, dtype=torch.float32).reshape(-1, 2)
    return numbers[:, 0], numbers[:, 1]


@dataclass(frozen=True)
class Case:
    """Pairs of a number of ours and one of the reference."""

    pairs: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Layers:
    """Such pairs for each layer."""

    layers: tuple[tuple[tuple[float, float], ...], ...]
    bound: float = 0.5


NUMBER = st.sampled_from([0.0, 1.0, -1.0, 0.5, 3.0, 100.0, NAN, INF, -INF])
PAIRS = st.lists(st.tuples(NUMBER, NUMBER), max_size=4).map(tuple)
CASES = st.builds(Case, pairs=PAIRS)
LAYERS = st.builds(
    Layers,
    layers=st.lists(PAIRS, max_size=4).map(tuple),
    bound=st.sampled_from([0.5, 0.0, 2.0]),
)
HARD = [
    Case(((1.0, 0.0), (0.0, 0.0))),
    Case(((0.0, 0.5),)),
    Case(((100.0, 3.0),)),
    Case(((NAN, 1.0),)),
    Case(((NAN, NAN), (INF, INF))),
    Case(((1.0, 2.0), (INF, INF))),
    Case(((INF, -INF),)),
    Case(()),
]
SAME, APART, BROKEN = ((1.0, 1.0),), ((3.0, 1.0),), ((NAN, 1.0),)
HARD_LAYERS = [
    Layers((SAME, APART, APART)),
    Layers((SAME, BROKEN, APART)),
    Layers((((0.5, 0.0),),)),
    Layers((SAME, SAME)),
]


def metric(pairs):
    """The metric of the task, one pair after another."""
    largest = max([1.0, *(abs(b) for _, b in pairs if math.isfinite(b))])
    worst = 0.0
    for a, b in pairs:
        if not (a == b or (math.isnan(a) and math.isnan(b))):
            worst = max(worst, abs(a - b) if math.isfinite(a) and math.isfinite(b) else INF)
    return worst / largest


def value(answer, case):
    """The difference is the largest one of all pairs, over the scale."""
    got, want = answer.difference(*tensors(case.pairs)), metric(case.pairs)
    assert math.isclose(float(got), want, rel_tol=1e-5), f"it is {got}, wanted is {want:.6g}"


def first(answer, case):
    """first_apart is the first layer with a difference above the bound."""
    pairs = [tensors(layer) for layer in case.layers]
    got = answer.first_apart([a for a, _ in pairs], [b for _, b in pairs], case.bound)
    apart = [i for i, layer in enumerate(case.layers) if metric(layer) > case.bound]
    want = apart[0] if apart else None
    assert got == want, f"it is {got}, wanted is {want}"


LAWS = [Law(value, CASES, HARD), Law(first, LAYERS, HARD_LAYERS)]
