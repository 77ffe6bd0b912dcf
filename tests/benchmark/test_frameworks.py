"""JAX and Keras as peers: the same answer, each in a process of its own."""

import pytest

from minidistil.benchmark.comparison import error
from minidistil.benchmark.frameworks import Jax, Keras, frameworks
from minidistil.benchmark.peers import Minidistil
from minidistil.benchmark.workers import Worker
from tests.benchmark.test_peers import MIXED, answer, saved
from tests.benchmark.tiny import SETTING

__all__ = ["saved"]  # a fixture


@pytest.mark.slow
@pytest.mark.parametrize("peer", [Jax(), Keras()], ids=lambda peer: peer.name)
def test_near_the_modules(peer, saved):
    for package in peer.needs:
        pytest.importorskip(package, reason="pip install 'minidistil[jax,tensorflow]'")
    assert peer.missing("cpu") is None and peer.missing("cuda") == "for CPUs"
    worker = Worker(peer, saved, saved)
    got = worker.begin(MIXED)
    assert worker.turn() > 0
    worker.stop()
    assert error(got, answer(Minidistil(way="modules"), saved), MIXED) <= 1e-5


@pytest.mark.slow
def test_who_is_absent_has_a_line(monkeypatch):
    monkeypatch.setattr(Jax, "needs", ("abacus",))
    monkeypatch.setattr(Keras, "needs", ("quipu",))
    monkeypatch.setattr(Minidistil, "missing", lambda self, device: self.way == "compiled" or None)
    tables = [*frameworks(SETTING)]
    names = [row["peer"] for row in tables[0].rows]
    assert names == [
        *("minidistil modules float32", "minidistil compiled float32"),
        *("JAX jit float32", "Keras XLA float32", "minidistil float32"),
        *("floor float32", "floor bfloat16"),
    ]
    notes = {row["peer"]: row["note"] for row in tables[0].rows}
    assert notes["JAX jit float32"] == "absent: abacus"
