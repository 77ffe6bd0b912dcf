"""Laws of `linear_factor(step, steps, warmup)`: the library's numbers."""

import math
from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.learn.laws import Law
from minidistil.training import optimizer

HINTS = [
    "W is rounded up: math.ceil. The fall has steps - W steps; at step W none of them is gone.",
    "Divide what is left, steps - step, by the whole of the fall; at least by 1.",
    "After the end steps - step is negative: take the larger of it and 0.",
]
WRONG = {
    "the first step is wasted": ("(step + 1) / (rise + 1)", "step / rise"),
    "the rise gets to 1 a step too soon": ("(step + 1) / (rise + 1)", "(step + 1) / rise"),
    "the fall begins at step 0": (
        "(steps - step) / max(1, steps - rise)",
        "(steps - step) / steps",
    ),
    "negative after the end": ("max(0.0, (steps - step)", "max(-1.0, (steps - step)"),
    "divided by 0 where all steps are the rise": ("max(1, steps - rise)", "(steps - rise)"),
    "the rise is rounded down": ("math.ceil", "math.floor"),
    "the last step is wasted": ("(steps - step) / max", "(steps - step - 1) / max"),
}


@dataclass(frozen=True)
class Case:
    """A step of a run, its length, and the share of it that is the rise."""

    step: int = 0
    steps: int = 10
    warmup: float = 0.3

    def want(self):
        return optimizer.linear_factor(self.step, self.steps, self.warmup)

    def explanation(self):
        """Where the wanted number comes from."""
        step, steps = self.step, self.steps
        rise = math.ceil(self.warmup * steps)
        text = f"W = ceil({self.warmup} * {steps}) = {rise}, so step {step} "
        if step < rise:
            return f"{text}is of the rise: ({step} + 1) / ({rise} + 1)"
        if step >= steps:
            return f"{text}is after the last: 0"
        return f"{text}is of the fall: {steps - step} of its {steps - rise} steps are left"


CASES = st.builds(
    Case,
    step=st.integers(0, 25),
    steps=st.integers(1, 20),
    warmup=st.sampled_from([0.05, 0.0, 0.3, 1.0]),
)
HARD = [
    Case(),
    Case(step=3),
    Case(step=9),
    Case(step=12),
    Case(step=0, warmup=0.05),
    Case(step=10, warmup=1.0),
]


def equals(answer, case):
    """The factor is (step + 1) / (W + 1) before step W, then it falls straight to 0."""
    got, want = answer.linear_factor(case.step, case.steps, case.warmup), case.want()
    assert math.isclose(got, want, abs_tol=1e-9), (
        f"it is {got:.6g}, wanted is {want:.6g}; {case.explanation()}"
    )


def no_step_lost(answer, case):
    """No step of a run has the factor 0, none has more than 1, and from the end on all have 0."""
    factors = [answer.linear_factor(step, case.steps, case.warmup) for step in range(case.steps)]
    assert all(0 < factor <= 1 for factor in factors), f"the factors are {factors}"
    after = [answer.linear_factor(case.steps + i, case.steps, case.warmup) for i in range(3)]
    assert after == [0, 0, 0], f"after the end the factors are {after}"


LAWS = [Law(equals, CASES, HARD), Law(no_step_lost, CASES, HARD)]
