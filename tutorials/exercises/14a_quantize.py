"""Laws of `quantize_rows(weight)` and `dequantize_rows(q, scale)`: an error of half a step."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close

HINTS = [
    "The largest absolute value of each row: abs(), then amax(1). That one becomes 127 or -127.",
    "A scale (R,) needs [:, None] to divide a matrix row by row.",
    "torch.where(peak == 0, 1.0, ...) for rows of zeros; round() before .to(torch.int8).",
]
WRONG = {
    "cut off, not rounded": (".round()", ".trunc()"),
    "one scale for all rows": (".abs().amax(1)", ".abs().amax().expand(len(weight))"),
    "the largest value, not the largest absolute one": (".abs().amax(1)", ".amax(1)"),
    "a scale for each column": (".abs().amax(1)", ".abs().amax(0)"),
    "127 is one step too far": ("peak / 127", "peak / 128"),
    "only half of the range is used": ("peak / 127", "peak / 63"),
    "the scale of a row of zeros is 0": ("torch.where(peak == 0, 1.0, peak / 127)", "peak / 127"),
    "multiplied column by column": ("q * scale[:, None]", "q * scale[: q.shape[1]]"),
}


@dataclass(frozen=True)
class Case:
    """The rows of a weight."""

    rows: tuple[tuple[float, ...], ...] = ((1.0, 0.3, -0.2),)

    def weight(self):
        return torch.tensor(self.rows)

    def peak(self):
        return self.weight().abs().amax(1)


# Zero, tenths and thousands: rows of different size.
NUMBERS = st.integers(-99, 99).map(lambda n: n / 10) | st.sampled_from([1000.0, -0.001])
CASES = st.builds(
    Case,
    rows=st.integers(1, 4).flatmap(
        lambda n: st.lists(
            st.lists(NUMBERS, min_size=n, max_size=n).map(tuple), min_size=1, max_size=4
        ).map(tuple)
    ),
)
HARD = [
    Case(),
    Case(((-3.0, 1.0),)),
    Case(((0.0, 0.0), (2.0, 1.0))),
    Case(((1000.0, 1.0, 7.0), (0.5, -0.3, 0.1))),
]


def form(answer, case):
    """q is int8, from -127 to 127, and its largest is 127; each row has a scale above 0."""
    weight, peak = case.weight(), case.peak()
    q, scale = answer.quantize_rows(weight)
    assert q.dtype == torch.int8, f"q is {q.dtype}"
    assert q.shape == weight.shape, f"q is {(*q.shape,)}, the weight {(*weight.shape,)}"
    largest = torch.where(peak > 0, 127, 0)
    assert torch.equal(q.long().abs().amax(1), largest), f"q is {q.tolist()}"
    assert bool((scale > 0).all()), f"the scales are {scale.tolist()}"
    # Relative: scales may be small.
    assert_close(torch.where(peak > 0, scale * 127 / peak, 1.0), torch.ones_like(peak))


def bound(answer, case):
    """There and back, a weight is off by half a step at most."""
    weight = case.weight()
    back = answer.dequantize_rows(*answer.quantize_rows(weight))
    assert_close(back, weight, tolerance=1e9)  # kind, shape and dtype
    error, step = (back - weight).abs(), case.peak()[:, None] / 127
    far = ~(error <= step / 2 * (1 + 1e-4))
    assert not far.any(), f"back come {back.tolist()}; half a step is {(step / 2).tolist()}"


def back_again(answer, case):
    """Back again is q times the scale of its row."""
    q = case.weight().round().clamp(-127, 127).to(torch.int8)
    scale = torch.arange(1.0, len(q) + 1) / 8
    want = torch.stack([row.float() * s for row, s in zip(q, scale, strict=True)])
    assert_close(answer.dequantize_rows(q, scale), want)


LAWS = [Law(form, CASES, HARD), Law(bound, CASES, HARD), Law(back_again, CASES, HARD)]
