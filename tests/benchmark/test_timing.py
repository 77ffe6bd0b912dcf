"""Turns, ratios and quartiles; no test looks at how long anything takes."""

import pytest
import torch

from minidistil.benchmark.timing import Spread, in_turns, interleaved, paired, seconds, spread


def test_quartiles():
    assert spread([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(2.0, 3.0, 4.0)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)
    with pytest.raises(ValueError, match="no value"):
        spread([])


def test_ratios_are_taken_round_by_round():
    """A drift that doubles both leaves the ratio alone, which that of the medians would not be."""
    assert paired([2.0, 4.0, 80.0], [1.0, 2.0, 40.0]) == Spread(2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="zip"):
        paired([1.0], [1.0, 2.0])


def test_every_round_has_every_candidate_twice_in_a_row():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = interleaved(runs, rounds=4)
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys("abc", 4)
    rounds = [calls[i : i + 6] for i in range(0, len(calls), 6)]
    assert len(rounds) == 5  # one that warms up
    for turn in rounds:
        assert turn[::2] == turn[1::2] and sorted(turn[::2]) == ["a", "b", "c"]
    assert len({tuple(turn) for turn in rounds}) > 1, "the order is drawn by lot"
    again = []
    interleaved({name: lambda name=name: again.append(name) for name in "abc"}, rounds=4)
    assert calls == again
    with pytest.raises(ValueError, match="rounds=0"):
        interleaved(runs, rounds=0)


def test_only_the_second_call_of_a_turn_is_timed(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    assert interleaved({"a": lambda: None}, rounds=2) == {"a": [1.0, 1.0]}


def test_turns_are_what_takes_them_says():
    clock = {"a": iter(range(10)), "b": iter(range(10, 20))}
    turns = {name: lambda name=name: float(next(clock[name])) for name in "ab"}
    assert in_turns(turns, rounds=2) == {"a": [1.0, 2.0], "b": [11.0, 12.0]}
    with pytest.raises(ValueError, match="rounds=0"):
        in_turns(turns, rounds=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_waited_for():
    x = torch.ones(4096, 4096, device="cuda")
    assert seconds(lambda: x @ x, "cuda") > 0
