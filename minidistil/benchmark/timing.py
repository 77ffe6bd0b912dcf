"""Times that can be compared: candidates in turns, ratios taken round by round.

    candidates --interleaved--> seconds, a list each --paired--> ratios --spread--> quartiles

A machine's speed drifts, by more than what is to be shown. So in each round every candidate has its
turn, in an order drawn by lot, and a ratio is of two times of one round: the drift is in both.

Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#asynchronous-execution (events).
Not here: what is run (`work.py`).
"""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from tqdm import tqdm

from minidistil.arguments import whole

LARGER_THAN_ANY_CACHE = 256 * 2**20  # bytes
Run = Callable[[], object]


class Spread(NamedTuple):
    """The middle of some numbers, and the quartiles around it."""

    low: float
    median: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Quartiles and median.

    Raises:
        ValueError: There is no value.
    """
    if not values:
        raise ValueError("no value, so no median")
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def paired(times: Sequence[float], reference: Sequence[float]) -> Spread:
    """Quartiles of the ratios time / reference, round by round.

    Raises:
        ValueError: Lists of different length, or none.
    """
    return spread([a / b for a, b in zip(times, reference, strict=True)])


def seconds(run: Run, device: str = "cpu") -> float:
    """The time of one call; on a GPU from a cleared cache to the end of the work."""
    if not device.startswith("cuda"):
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    torch.empty(LARGER_THAN_ANY_CACHE, dtype=torch.uint8, device=device).zero_()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    torch.cuda.synchronize(device)
    return start.elapsed_time(end) / 1e3


def interleaved(
    runs: Mapping[str, Run], rounds: int, *, device: str = "cpu", rest: float = 0.0, seed: int = 0
) -> dict[str, list[float]]:
    """Time all candidates in turns: `in_turns` with `turn`.

    Args:
        runs: Name to candidate.
        rounds: Times a candidate.
        device: Where the work is done.
        rest: Seconds of sleep before each turn.
        seed: Of the lots.

    Returns:
        Seconds of each candidate, one a round.

    Raises:
        ValueError: Fewer rounds than one.
    """
    turns = {name: partial(turn, run, device) for name, run in runs.items()}
    return in_turns(turns, rounds, rest=rest, seed=seed)


def turn(run: Run, device: str = "cpu") -> float:
    """Seconds of a call, after one that is not timed, which wakes threads and fills caches."""
    run()
    return seconds(run, device)


def in_turns(
    turns: Mapping[str, Callable[[], float]], rounds: int, *, rest: float = 0.0, seed: int = 0
) -> dict[str, list[float]]:
    """Let each candidate have its turn in each round, in an order drawn by lot.

    One more round goes before the others and is thrown away.

    Args:
        turns: Name to what takes a turn, and says how long it took.
        rounds: Turns a candidate.
        rest: Seconds of sleep before each turn.
        seed: Of the lots.

    Returns:
        Seconds of each candidate, one a round.

    Raises:
        ValueError: Fewer rounds than one.
    """
    whole("rounds", rounds, least=1)
    lots = random.Random(seed)
    times: dict[str, list[float]] = {name: [] for name in turns}
    for _ in tqdm(range(rounds + 1), unit="round", leave=False, disable=None):
        for name in lots.sample([*turns], len(turns)):
            time.sleep(rest)
            times[name].append(turns[name]())
    return {name: values[1:] for name, values in times.items()}
