"""A learning rate that warms up, then falls to 0.

Of `steps` steps, numbered from 0, the first W = ceil(warmup * steps) are the rise. The learning
rate is multiplied by

    (step + 1) / (W + 1)                 while step < W
    1 at step W, then a straight fall    to 0 at `steps`, which is after the last step

At first AdamW knows little of the size of each gradient, and large steps would do damage; towards
the end small steps settle what large ones only pass. The + 1 is there because a step with the
factor 0 is a step wasted: no step of a run has it.

A function of the step alone, so that a run that was killed goes on without the state of a schedule.

The traps: from `steps` on the factor is 0, and never negative; and where all steps are the rise
(warmup = 1), nothing is left to fall over, and nothing to divide by.

Arguments: 0 <= step, 1 <= steps, 0 <= warmup <= 1; the result is a float.
Source: Devlin et al. 2018, arXiv 1810.04805, A.2; minidistil/training/optimizer.py.
"""

import math


def linear_factor(step: int, steps: int, warmup: float = 0.05) -> float:
    """What the learning rate of this step is multiplied by."""
    # answer
    rise = math.ceil(warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return max(0.0, (steps - step) / max(1, steps - rise))
    # end
