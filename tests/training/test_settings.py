"""Settings are checked; seeds differ from step to step and from rank to rank."""

import pytest

from minidistil.training.settings import TrainingSettings, step_seed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"warmup": 1.5}, "warmup is 1.5"),
        ({"max_grad_norm": 0.0}, "max_grad_norm is 0.0"),
        ({"precision": "float16"}, "precision is 'float16'"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**{"steps": 10} | change)


def test_seeds_are_distinct_and_reproducible():
    keys = [(seed, step, rank) for seed in range(3) for step in range(50) for rank in range(3)]
    seeds = [step_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert seeds == [step_seed(*key) for key in keys]
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert step_seed(1, 2, 3) != step_seed(1, 2, 3, use=1)
