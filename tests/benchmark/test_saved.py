"""One model, in every form."""

import pytest
import torch

from minidistil import DistilBertModel, DistilBertTokenizer
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.work import Work
from tests.benchmark.tiny import SETTING


@pytest.fixture
def saved(tmp_path):
    saved = Saved(tmp_path, SETTING.config(), threads=1)
    saved.write()
    return saved


def test_both_libraries_and_a_tokenizer_load_it(saved):
    ids, mask = Work("", (6, 4)).padded(150)
    ours = DistilBertModel.from_pretrained(saved.folder)
    with torch.inference_mode():
        a = ours(ids, mask).last_hidden_state
        b = saved.torch_model("sdpa", "float32")(ids, attention_mask=mask).last_hidden_state
    assert (a - b).abs().max() < 1e-5
    assert len(DistilBertTokenizer.from_pretrained(saved.folder)) == 150
    assert saved.torch_model("eager", "bfloat16").dtype == torch.bfloat16


def test_the_seed_draws_the_weights(tmp_path):
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        Saved(tmp_path / name, SETTING.config(), threads=1).write(seed)
        files.append((tmp_path / name / "model.safetensors").read_bytes())
    assert files[0] == files[1] != files[2]


@pytest.mark.slow
def test_the_onnx_file_takes_any_batch_and_length(saved):
    onnx = pytest.importorskip("onnx")
    saved.export_onnx()
    inputs = onnx.load(saved.onnx, load_external_data=False).graph.input
    for value in inputs:
        assert [axis.dim_param for axis in value.type.tensor_type.shape.dim] == ["batch", "length"]
    assert [value.name for value in inputs] == ["input_ids", "attention_mask"]
