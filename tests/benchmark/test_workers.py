"""A peer in another process: the same answers, its own threads, failures that say what they are."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from minidistil.benchmark.memory import RESET, STATUS
from minidistil.benchmark.peers import Minidistil, Peer, Transformers
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.workers import Worker
from tests.benchmark.tiny import ROWS, SETTING

linux = pytest.mark.skipif(not os.access(RESET, os.W_OK), reason="Linux counts no peak anew here")


class Abacus(Peer):
    """Says where it works, with how many threads, on how many tokens; a long text kills it."""

    name, dtype = "abacus", "float32"

    def load(self, saved):
        self.facts = [os.getpid(), torch.get_num_threads()]

    def inputs(self, work):
        if work.name == "one":
            raise ValueError(f"no beads for {work.tokens}\nsecond line")
        return work.tokens

    def run(self, inputs):
        if inputs > 100:
            os._exit(3)
        return [float(fact) for fact in (*self.facts, inputs)]


class Lazy(Peer):
    """Like a package that imports most of itself when it is first used, which takes more to do."""

    name, dtype = "lazy", "float32"
    imported = None

    def load(self, saved):
        if Lazy.imported is None:
            np.ones(600_000_000, np.uint8)
            Lazy.imported = np.ones(200_000_000, np.uint8)
        self.weights = np.ones(saved.config.vocab_size * 1000, np.uint8)

    def inputs(self, work):
        return work.tokens

    def run(self, inputs):
        return [float(inputs)]


@pytest.fixture
def saved(tmp_path):
    return Saved(tmp_path, SETTING.config(), threads=1)


@pytest.fixture
def worker(saved):
    worker = Worker(Abacus(), saved, saved)
    yield worker
    worker.stop()


def test_another_process(worker):
    process, threads, tokens = worker.begin(ROWS[1]).tolist()
    assert (threads, tokens) == (1, ROWS[1].tokens) and process != os.getpid()
    assert worker.turn() >= 0 and worker.begin(ROWS[1])[0] == process
    memory = worker.memory()
    assert memory is None or 0 <= memory < 1e9


def test_a_failure_has_a_name_and_a_reason(worker):
    with pytest.raises(RuntimeError, match=r"^abacus: ValueError: no beads for 7$"):
        worker.begin(ROWS[0])


def test_a_process_that_dies(worker):
    work = type(ROWS[1])("long", (101,))
    with pytest.raises(RuntimeError, match="^abacus: its process ended with 3"):
        worker.begin(work)


def test_a_failure_in_the_rehearsal(saved, monkeypatch):
    with pytest.raises(RuntimeError, match=r"^peer: TypeError: Peer is abstract$"):
        monkeypatch.setattr(Peer, "name", "peer", raising=False)
        Worker(Peer(), saved, saved)


@linux
def test_memory_is_of_the_model_and_not_of_imports(saved):
    """Neither what stays of the first use, nor a peak on its way."""
    large = replace(saved, config=SETTING.config(vocab_size=100_000))
    worker = Worker(Lazy(), large, saved)
    assert worker.memory() == pytest.approx(100e6, abs=10e6)
    worker.stop()


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="reads what Linux knows")
@pytest.mark.parametrize("peer", [Transformers(), Minidistil()], ids=lambda peer: peer.name)
def test_a_tiny_model_takes_next_to_nothing(peer, saved):
    """Guards a fair baseline: the classes of transformers are imported when first used."""
    saved.write()
    worker = Worker(peer, saved, saved)
    worker.begin(ROWS[1])
    memory = worker.memory()
    worker.stop()
    assert memory is not None and memory < 30e6
