"""What a training run's result depends on, apart from the model and the data; and its seeds."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TrainingSettings:
    """What a run's result depends on, with the defaults of DistilBERT's recipe.

    Attributes:
        steps: Updates of the weights.
        learning_rate: At the end of the warm-up.
        warmup: Share of the steps in which the learning rate rises; then it falls to 0.
        weight_decay: Of matrices; LayerNorms and biases have none.
        betas: AdamW's.
        eps: AdamW's.
        max_grad_norm: Longer gradients are shortened to this norm.
        precision: "float32", or "bfloat16": matrix products in it, weights and sums in float32.
        seed: Of everything drawn.
    """

    steps: int
    learning_rate: float = 5e-4
    warmup: float = 0.05
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    max_grad_norm: float = 5.0
    precision: str = "float32"
    seed: int = 56

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}, expected 1 or more")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, expected more than 0")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is {self.warmup}, expected 0 to 1")
        if not self.max_grad_norm > 0:
            raise ValueError(f"max_grad_norm is {self.max_grad_norm}, expected more than 0")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}, expected 'float32' or 'bfloat16'")


def step_seed(seed: int, step: int, rank: int, use: int = 0) -> int:
    """A seed of its own for each step, rank and use: neighbours share no random numbers."""
    return int(np.random.SeedSequence((seed, step, rank, use)).generate_state(1, np.uint64)[0])
