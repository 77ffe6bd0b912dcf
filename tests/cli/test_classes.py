"""Which class a checkpoint is of: no head is lost, and none is drawn at random."""

import json
import shutil

import pytest


def with_classes(model, folder, classes):
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = classes
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("prefix", ["TF", "Flax"])
def test_the_class_of_another_framework(prefix, shell, models, tmp_path):
    classes = [f"{prefix}DistilBertForSequenceClassification"]
    source = with_classes(models["classifier"], tmp_path / "model", classes)
    run = shell("convert", source, tmp_path / "new")
    assert run.code == 0 and "left out: nothing\n" in run.out
    assert "DistilBertForSequenceClassification," in run.out


@pytest.mark.parametrize("classes", [None, [], ["DistilBertTokenizer"], ["pipeline"]])
def test_no_head_is_lost_because_a_config_says_no_class(classes, shell, models, tmp_path):
    source = with_classes(models["classifier"], tmp_path / "model", classes)
    run = shell("convert", source, tmp_path / "new")
    assert run.code == 2 and "--task is needed" in run.err and "classifier.weight" in run.err
    assert not (tmp_path / "new").exists()
    task = ["--task", "text-classification"]
    assert "left out: nothing\n" in shell("convert", source, tmp_path / "new", *task).out
    task = ["--task", "feature-extraction"]
    run = shell("convert", source, tmp_path / "encoder", *task)
    assert "DistilBertModel," in run.out and "left out: classifier.bias" in run.out
    base = with_classes(models["base"], tmp_path / "base", classes)
    assert "left out: nothing\n" in shell("convert", base, tmp_path / "new-base").out


def test_what_a_config_can_not_say(shell, models, tmp_path):
    source = with_classes(models["classifier"], tmp_path / "model", 5)
    run = shell("convert", source, tmp_path / "new")
    assert run.code == 1 and "config.architectures must be null or a list" in run.err
    config = json.loads((models["classifier"] / "config.json").read_text())
    config |= {"id2label": {str(n): f"l{n}" for n in range(7)}, "label2id": None}
    source = with_classes(models["classifier"], tmp_path / "labels", config["architectures"])
    (source / "config.json").write_text(json.dumps(config))
    run = shell("convert", source, tmp_path / "new")
    assert run.code == 1 and "has no trained classifier.bias, classifier.weight" in run.err
    assert "ignore_mismatched_sizes" not in run.err
