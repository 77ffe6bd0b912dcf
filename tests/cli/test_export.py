"""The verb export: a checkpoint becomes a file that gives its numbers, whatever its head."""

import jaxtyping
import onnxruntime
import pytest
import torch

import minidistil
from minidistil import DistilBertConfig


@pytest.fixture(autouse=True)
def shapes_unchecked(monkeypatch):
    # torch.export traces with sizes that are symbols, which the check of annotations can't count.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


IDS = torch.tensor([[2, 8, 9, 30, 3, 0], [2, 7, 3, 0, 0, 0]])


def test_onnx_is_the_default(shell, models, tmp_path):
    path = tmp_path / "new" / "model.onnx"
    run = shell("export", "--model", models["classifier"], "--output", path)
    assert run.code == 0 and run.err == "", run.err
    assert run.out.startswith(f"{path}: DistilBertForSequenceClassification, 0.")
    assert "MB, within " in run.out and [*path.parent.iterdir()] == [path]
    model = minidistil.DistilBertForSequenceClassification.from_pretrained(models["classifier"])
    session = onnxruntime.InferenceSession(path)
    mask = (IDS != 0).long()
    (logits,) = session.run(None, {"input_ids": IDS.numpy(), "attention_mask": mask.numpy()})
    torch.testing.assert_close(torch.as_tensor(logits), model(IDS, mask).logits, rtol=0, atol=1e-5)
    said = session.get_modelmeta().custom_metadata_map
    assert said["id2label"] == '{"0": "NEGATIVE", "1": "POSITIVE"}'


@pytest.mark.parametrize(
    ("name", "task", "cls"),
    [
        ("mlm", None, "DistilBertForMaskedLM"),
        ("swag", None, "DistilBertForMultipleChoice"),
        ("base", None, "DistilBertModel"),
        ("squad", "feature-extraction", "DistilBertModel"),
    ],
)
def test_the_head_is_the_checkpoints_or_the_tasks(shell, models, tmp_path, name, task, cls):
    path = tmp_path / "model.pt2"
    options = ["--task", task] if task else []
    run = shell(
        "export", "--model", models[name], "--output", path, "--format", "torch-export", *options
    )
    assert run.code == 0 and run.err == "", run.err
    assert f": {cls}, " in run.out
    shape = (2, 3, 6) if name == "swag" else (2, 6)
    outputs = torch.export.load(path).module()(*torch.ones(2, *shape, dtype=torch.long))
    assert [*outputs] == ["last_hidden_state" if cls == "DistilBertModel" else "logits"]


def test_half_precision_is_written_as_floats(shell, models, tmp_path):
    model = minidistil.DistilBertModel.from_pretrained(models["base"], dtype="bfloat16")
    model.save_pretrained(tmp_path / "half")
    path = tmp_path / "model.pt2"
    run = shell(
        "export", "--model", tmp_path / "half", "--output", path, "--format", "torch-export"
    )
    assert run.code == 0, run.err


def test_errors(shell, models, tmp_path):
    output = ("--output", tmp_path / "x.onnx")
    assert shell("export", "--model", models["mlm"]).code == 2
    assert shell("export", *output).code == 2
    assert shell("export", "--model", models["mlm"], "--output", tmp_path).code == 2
    run = shell("export", "--model", models["mlm"], *output, "--format", "tflite")
    assert run.code == 2 and "'tflite' is not one of 'onnx', 'torch-export'" in run.err
    run = shell("export", "--model", models["mlm"], *output, "--task", "question-answering")
    assert run.code == 1 and "no trained qa_outputs.bias, qa_outputs.weight" in run.err
    run = shell("export", "--model", tmp_path / "nowhere", *output)
    assert run.code == 1 and "nowhere" in run.err
    config = DistilBertConfig.from_pretrained(models["mlm"])
    config.architectures = ["SomethingElse"]
    config.save_pretrained(tmp_path / "unknown")
    run = shell("export", "--model", tmp_path / "unknown", *output)
    assert run.code == 2 and "--task is needed" in run.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["unknown"]
