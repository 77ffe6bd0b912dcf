"""Where a run starts: a head that fits the task, whatever the checkpoint was for."""

from typing import Any

import pytest
import torch

from minidistil.training.finetuning import Tuning, finetune
from minidistil.training.records import TextRecord
from minidistil.training.start import start_from
from tests.training.test_finetuning import FAST, TOKENIZER, data_of, model_of


def test_a_new_head_is_drawn_from_the_seed(tmp_path):
    model_of("single").encoder.save_pretrained(tmp_path)
    records = [TextRecord("w1", label=label) for label in ("x", "y")]
    heads: list[Any] = [
        start_from(
            str(tmp_path), "text-classification", records, "single_label_classification", seed
        ).classifier.weight
        for seed in (1, 1, 2)
    ]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize("kind", ["regression", "several", "tags", "choices", "answers"])
def test_a_checkpoint_of_another_task_starts_any(kind, tmp_path):
    """Its problem type and its number of labels are not those of the new task."""
    model_of(kind).save_pretrained(tmp_path)
    starts = {
        "text-classification": "single", "token-classification": "tags",
        "multiple-choice": "choices", "question-answering": "answers",
    }  # fmt: skip
    for task, data in starts.items():
        records = data_of(data, 8)
        model = start_from(str(tmp_path), task, records, "single_label_classification")
        tuning = Tuning(**vars(FAST) | {"epochs": 1})
        finetune(model, TOKENIZER, records, tmp_path / task, tuning)


def test_as_many_labels_of_other_names_get_a_new_classifier(tmp_path):
    """Else "ham" would begin as what was "bad"."""
    model_of("single").save_pretrained(tmp_path)
    problem = "single_label_classification"
    records = [TextRecord("w1", label=label) for label in ("ham", "spam")]
    starts = [
        start_from(str(tmp_path), "text-classification", records, problem, seed) for seed in (1, 2)
    ]
    classifiers: list[Any] = [start.get_submodule("classifier") for start in starts]
    assert not torch.equal(classifiers[0].weight, classifiers[1].weight)
    known = [TextRecord("w1", label=label) for label in ("good", "bad")]
    kept: Any = start_from(str(tmp_path), "text-classification", known, problem)
    assert torch.equal(
        kept.classifier.weight, model_of("single").get_submodule("classifier").weight
    )


def test_a_half_precision_checkpoint_is_trained_in_float32(tmp_path):
    model_of("single").half().save_pretrained(tmp_path)
    records = data_of("single", 4)
    model = start_from(str(tmp_path), "text-classification", records, "single_label_classification")
    assert model.dtype == torch.float32
    with pytest.raises(ValueError, match="is torch.float16, in which small updates are lost"):
        finetune(model_of("single").half(), TOKENIZER, records, tmp_path / "run", FAST)


def test_one_label_leaves_nothing_to_tell_apart(tmp_path):
    model_of("single").encoder.save_pretrained(tmp_path)
    records = [TextRecord("w1", label="good")] * 3
    with pytest.raises(ValueError, match="every record has the label 'good'"):
        start_from(str(tmp_path), "text-classification", records, "single_label_classification")
