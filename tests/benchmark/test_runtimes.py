"""Engines of others, where they are installed: the same answer, the threads that were asked for."""

import pytest

from minidistil.benchmark.comparison import error
from minidistil.benchmark.peers import Transformers
from minidistil.benchmark.runtimes import CTranslate2, OnnxRuntime, OpenVINO
from tests.benchmark.test_peers import BOUNDS, MIXED, answer, saved

__all__ = ["saved"]  # a fixture

CASES = {
    "onnxruntime": [OnnxRuntime(), OnnxRuntime("int8")],
    "openvino": [OpenVINO(), OpenVINO("bfloat16")],
    "ctranslate2": [CTranslate2(), CTranslate2("int8")],
}


@pytest.mark.slow
@pytest.mark.parametrize("package", CASES)
def test_near_transformers(package, saved):
    pytest.importorskip(package)
    want = answer(Transformers(), saved)
    for peer in CASES[package]:
        if package == "onnxruntime" or package == "openvino":
            pytest.importorskip("onnxscript")
        assert peer.missing("cpu") is None and peer.missing("cuda") == "for CPUs"
        got = answer(peer, saved)
        assert got.shape == want.shape, peer.name
        assert error(got, want, MIXED) <= BOUNDS[peer.dtype], peer.name
        if peer.dtype == "int8":
            assert error(got, want, MIXED) > 1e-5, peer.name


def test_one_thread_where_one_was_asked_for(saved):
    pytest.importorskip("onnxruntime")
    peer = OnnxRuntime()
    peer.prepare(saved)
    peer.load(saved)
    options = peer.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    pytest.importorskip("openvino")
    peer = OpenVINO()
    peer.prepare(saved)
    peer.load(saved)
    model = peer.request.get_compiled_model()
    assert model.get_property("INFERENCE_NUM_THREADS") == 1
    assert model.get_property("NUM_STREAMS") == 1
    assert str(model.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"


def test_ctranslate2_gets_no_padding():
    peer = CTranslate2()
    peer.vocab_size = 150
    assert [len(row) for row in peer.inputs(MIXED)] == [9, 3, 5]
