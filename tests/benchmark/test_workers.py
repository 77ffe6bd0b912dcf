"""A peer in another process: the same answers, its own threads, failures that say what they are."""

import os

import pytest
import torch

from minidistil.benchmark.peers import Peer
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.workers import Worker
from tests.benchmark.tiny import ROWS, SETTING


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


@pytest.fixture
def worker(tmp_path):
    worker = Worker(Abacus(), Saved(tmp_path, SETTING.config(), threads=1))
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
