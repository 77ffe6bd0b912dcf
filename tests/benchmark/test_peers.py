"""transformers and this library as peers: loaded from one folder, near each other."""

import pytest
import torch

from minidistil.benchmark.comparison import error
from minidistil.benchmark.peers import Minidistil, Peer, Transformers
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.workers import Worker
from tests.benchmark.tiny import ROWS, SETTING

MIXED = ROWS[1]
# Largest differences of hidden states of about 1: rounding, and what fewer bits leave.
BOUNDS = {"float32": 1e-5, "bfloat16": 0.2, "int8": 0.2}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    saved = Saved(tmp_path_factory.mktemp("saved"), SETTING.config(), threads=1)
    saved.write()
    return saved


def answer(peer, saved):
    peer.prepare(saved)
    peer.load(saved)
    return peer.states(peer.run(peer.inputs(MIXED)))


@pytest.mark.parametrize(
    "peer",
    [
        Transformers("eager"),
        Transformers(dtype="bfloat16"),
        Minidistil(way="modules"),
        Minidistil(),
        Minidistil("bfloat16"),
        Minidistil("int8"),
    ],
    ids=lambda peer: peer.name,
)
def test_near_the_first(peer, saved):
    want, got = answer(Transformers(), saved), answer(peer, saved)
    assert got.dtype == torch.float32 and got.shape == (3, 9, 32)
    assert error(got, want, MIXED) <= BOUNDS[peer.dtype]
    assert (error(got, want, MIXED) > 1e-5) == (peer.dtype != "float32")


@pytest.mark.slow
@pytest.mark.parametrize("peer", [Transformers(compiled=True), Minidistil(way="compiled")])
def test_compiled(peer, saved):
    # In a process of its own, without the check of shapes, which Dynamo can't trace.
    worker = Worker(peer, saved, saved)
    got = worker.begin(MIXED)
    worker.stop()
    assert error(got, answer(Transformers(), saved), MIXED) <= 1e-5


def test_names():
    assert Transformers().name == "transformers sdpa float32"
    assert Transformers(compiled=True).name == "transformers sdpa compiled float32"
    assert Minidistil("int8").name == "minidistil int8"
    assert Minidistil(way="modules").name == "minidistil modules float32"
    assert Minidistil(way="compiled").name == "minidistil compiled float32"


def test_who_is_missing(monkeypatch):
    assert Transformers().missing("cpu") is None and Transformers().missing("cuda") is None
    assert Minidistil("int8").missing("cuda") == "for CPUs"
    peer = Transformers()
    peer.needs = ("transformers", "abacus", "quipu")
    assert peer.missing("cpu") == "absent: abacus, quipu"
    monkeypatch.setattr("shutil.which", lambda name: None)
    for peer in (Transformers(compiled=True), Minidistil(way="compiled")):
        assert peer.missing("cpu") == "absent: a C++ compiler"
    assert Transformers().missing("cpu") is None


def test_a_peer_is_abstract(saved):
    for call in (lambda: Peer().load(saved), lambda: Peer().inputs(MIXED), lambda: Peer().run(0)):
        with pytest.raises(TypeError, match="Peer is abstract"):
            call()
