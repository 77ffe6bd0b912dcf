"""Predictions of a batch are those of each example alone; scores are of what was predicted."""

import pytest
import torch

from minidistil.training import evaluation
from minidistil.training.evaluation import evaluate, predict
from minidistil.training.examples import collate, make_examples
from minidistil.training.head_objective import LABELS
from minidistil.training.records import ChoiceRecord, QuestionRecord, TagRecord, TextRecord
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


@pytest.mark.parametrize(
    "record",
    [
        TextRecord("a", place="x.csv:3"),
        TagRecord(("a",), place="x.csv:3"),
        QuestionRecord("q", "a ?", "b", place="x.csv:3"),
        ChoiceRecord("a", ("b", "c"), place="x.csv:3"),
    ],
)
def test_what_has_no_label_is_not_scored(record):
    """A question without answers is not one that has none."""
    with pytest.raises(ValueError, match=r"x.csv:3 has no label"):
        evaluate(model_of("single"), [record], [])


def test_no_answer_is_an_answer_where_some_question_has_none(monkeypatch):
    """SQuAD 2.0: else the best epoch would be chosen by a model that can't say "none"."""
    seen = []
    monkeypatch.setattr(
        evaluation, "best_answers",
        lambda examples, logits, records, null_threshold: (
            seen.append(null_threshold) or {record.id: "" for record in records}
        ),
    )  # fmt: skip
    answered = QuestionRecord("1", "good ?", "w1 good", (("good", 3),))
    impossible = QuestionRecord("2", "good ?", "w1 w2", impossible=True)
    model = model_of("answers")
    for records in ([answered], [answered, impossible]):
        examples = make_examples(records, TOKENIZER, max_length=24)
        evaluate(model, records, examples)
        evaluate(model, records, examples, null_threshold=2.5)
    assert seen == [float("inf"), 2.5, 0.0, 2.5]
