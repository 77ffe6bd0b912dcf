"""Laws of `least_time`, `ridge` and `limit`."""

import math
from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.learn.laws import Law

HINTS = [
    "How long would the bytes take alone, and the operations alone? They overlap in time.",
    "At the ridge F / peak = B / bandwidth. Solve for F / B.",
    "Compare the two times, or F with B times the ridge: neither divides by B.",
]
WRONG = {
    "one after the other": ("max(F / peak, B / bandwidth)", "F / peak + B / bandwidth"),
    "the faster of the two": ("max(F / peak, B / bandwidth)", "min(F / peak, B / bandwidth)"),
    "only the bytes": ("max(F / peak, B / bandwidth)", "B / bandwidth"),
    "the ridge upside down": ("return peak / bandwidth", "return bandwidth / peak"),
    "the sides mixed up": ("B * ridge(peak, bandwidth) > F", "B * ridge(peak, bandwidth) < F"),
    "divided by no bytes": ("B * ridge(peak, bandwidth) > F", "ridge(peak, bandwidth) > F / B"),
}


@dataclass(frozen=True)
class Case:
    """Operations and bytes of a kernel, and what the GPU does of each in a second."""

    F: float = 8.0
    B: float = 2.0
    peak: float = 2.0
    bandwidth: float = 1.0

    def times(self):
        return self.F / self.peak, self.B / self.bandwidth


# Small numbers, and those of real GPUs.
CASES = st.builds(
    Case,
    F=st.sampled_from([1.0, 8.0, 0.0, 3e9, 7e13]),
    B=st.sampled_from([1.0, 2.0, 0.0, 5e8, 1e12]),
    peak=st.sampled_from([1.0, 2.0, 8.1e12, 312e12]),
    bandwidth=st.sampled_from([1.0, 30e9, 320e9, 2039e9]),
)
HARD = [Case(), Case(F=1.0), Case(B=0.0), Case(F=0.0)]


def slower(answer, case):
    """The least time is that of the slower of the two, each alone."""
    arithmetic, memory = case.times()
    want = arithmetic if arithmetic > memory else memory
    got = answer.least_time(case.F, case.B, case.peak, case.bandwidth)
    assert math.isclose(got, want, rel_tol=1e-9), f"{got} seconds, wanted are {want}"


def meeting_point(answer, case):
    """At the ridge both take equally long."""
    F, B = answer.ridge(case.peak, case.bandwidth) * 1000.0, 1000.0
    arithmetic, memory = F / case.peak, B / case.bandwidth
    assert math.isclose(arithmetic, memory, rel_tol=1e-9), (
        f"at {F / 1000} operations a byte, arithmetic takes {arithmetic} s and memory {memory} s"
    )


def waits_for(answer, case):
    """The limit is what takes longer."""
    arithmetic, memory = case.times()
    if math.isclose(arithmetic, memory, rel_tol=1e-6):
        return
    want = "arithmetic" if arithmetic > memory else "memory"
    got = answer.limit(case.F, case.B, case.peak, case.bandwidth)
    assert got == want, f"{got!r}, wanted is {want!r}"


LAWS = [Law(slower, CASES, HARD), Law(meeting_point, CASES, HARD), Law(waits_for, CASES, HARD)]
