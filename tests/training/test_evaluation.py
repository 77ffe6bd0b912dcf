"""Predictions of a batch are those of each example alone; scores are of what was predicted."""

import pytest
import torch

from minidistil.training.evaluation import evaluate, predict
from minidistil.training.examples import collate, make_examples
from minidistil.training.head_objective import LABELS
from minidistil.training.records import TextRecord
from tests.training.test_finetuning import TASKS, TOKENIZER, data_of, model_of


def examples_of(model, records):
    problem = model.config.problem_type or "single_label_classification"
    return make_examples(
        records, TOKENIZER, max_length=24, id2label=model.config.id2label, problem_type=problem
    )


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_predicts_what_each_example_does_alone(task):
    model, records = model_of(task).train(), data_of(task, 7)
    examples = examples_of(model, records)
    logits = predict(model, examples, batch_size=3)
    assert model.training and len(logits) == len(examples) == 7
    model.eval()
    for example, ours in zip(examples, logits, strict=True):
        inputs = {k: v for k, v in collate([example]).items() if k not in LABELS}
        with torch.no_grad():
            output = model(**inputs)
        if task == "answers":
            alone = torch.stack((output.start_logits, output.end_logits))
        else:
            alone = output.logits if task == "tags" else output.logits[0]
        torch.testing.assert_close(ours, alone, rtol=1e-5, atol=1e-6)


def test_worked_example():
    """A classifier that always says "good", on three of "good" and one of "bad": 3/4."""
    model = model_of("single")
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([-1.0, 1.0]))
    records = [TextRecord("w1", label=label) for label in ("good", "good", "bad", "good")]
    scores = evaluate(model, records, examples_of(model, records))
    assert scores["accuracy"] == 0.75


def test_nothing_to_evaluate_on():
    with pytest.raises(ValueError, match="the data has no records"):
        evaluate(model_of("single"), [], [])
