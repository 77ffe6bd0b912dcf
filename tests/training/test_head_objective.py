"""The objective of every head against the head's own loss; a teacher; unlabelled rows."""

import math

import pytest
import torch
import torch.nn.functional as F

import minidistil
from minidistil import DistilBertConfig
from minidistil.distillation.student import make_student
from minidistil.training.head_objective import HeadObjective, logit_rows

LENGTHS = (5, 9, 2)
N, B = sum(LENGTHS), len(LENGTHS)
FORMS = {
    # head, problem type, labels
    "single": (
        "SequenceClassification", "single_label_classification", torch.tensor([2, -100, 0]),
    ),
    "several": (
        "SequenceClassification", "multi_label_classification",
        torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 0]]),
    ),
    "regression": (
        "SequenceClassification", "regression",
        torch.tensor([[1.0, -2, 0.5], [0, 3, 1], [1, 1, 0]]),
    ),
    "tags": (
        "TokenClassification", "single_label_classification",
        torch.where(torch.arange(N) % 3 == 0, -100, torch.arange(N) % 3),
    ),
    "answers": (
        "QuestionAnswering", "single_label_classification",
        (torch.tensor([1, 0, 5]), torch.tensor([4, 8, 7])),  # the third is cut off
    ),
    "choices": ("MultipleChoice", "single_label_classification", torch.tensor([1, 0, -100])),
}  # fmt: skip


def model_of(form: str):
    head, problem, _ = FORMS[form]
    config = DistilBertConfig(
        vocab_size=50, n_layers=2, n_heads=2, dim=16, hidden_dim=24,
        num_labels=2 if form == "answers" else 3,
        dropout=0.0, attention_dropout=0.0, qa_dropout=0.0, seq_classif_dropout=0.0,
        problem_type=problem,
    )  # fmt: skip
    torch.manual_seed(0)
    model = getattr(minidistil, f"DistilBertFor{head}")(config)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.mul_(12)
    return model


def batch_of(form: str) -> dict:
    generator = torch.Generator().manual_seed(1)
    labels = FORMS[form][2]
    if form == "choices":
        mask = torch.arange(7) < torch.tensor([[7, 3], [2, 5], [4, 4]])[..., None]
        ids = torch.randint(1, 50, (3, 2, 7), generator=generator)
        return {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}
    names = ("start_positions", "end_positions") if form == "answers" else ("labels",)
    values = labels if form == "answers" else (labels,)
    return {
        "input_ids": torch.randint(1, 50, (N,), generator=generator),
        "cu_seqlens": torch.tensor([0, *LENGTHS]).cumsum(0).int(),
        "max_seqlen": max(LENGTHS),
        **dict(zip(names, values, strict=True)),
    }


@pytest.mark.parametrize("form", FORMS)
def test_the_task_is_the_heads_own_loss(form):
    model, batch = model_of(form), batch_of(form)
    objective = HeadObjective(model, FORMS[form][1])
    mean = objective(batch)["task"] / objective.counts(batch)["task"]
    torch.testing.assert_close(mean, model(**batch).loss)


@pytest.mark.parametrize("form", FORMS)
def test_a_teacher(form):
    """No difference from itself; something from another, and a gradient for the student only."""
    teacher, batch = model_of(form), batch_of(form)
    same = HeadObjective(make_student(teacher, [0, 1]), FORMS[form][1], teacher=teacher)
    assert same(batch)["teacher"].item() == pytest.approx(0, abs=1e-4)
    student = make_student(teacher, [1])
    objective = HeadObjective(student, FORMS[form][1], teacher=teacher)
    sums = objective(batch)
    assert sums["teacher"] > 1e-3 and objective.weights == {"task": 0.5, "teacher": 0.5}
    sums["teacher"].backward()
    assert all(p.grad is None for p in teacher.parameters())
    gradients = [p.grad for p in student.parameters() if p.grad is not None]
    assert gradients and all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("form", FORMS)
def test_counts(form):
    counts = HeadObjective(model_of(form), FORMS[form][1], teacher=model_of(form)).counts
    tags = int((FORMS["tags"][2] >= 0).sum())
    task = {"single": 2, "several": 9, "regression": 9, "tags": tags, "answers": 4, "choices": 2}
    teacher = {"single": 3, "several": 9, "regression": 9, "tags": N, "answers": 6, "choices": 3}
    assert counts(batch_of(form)) == {"task": task[form], "teacher": teacher[form]}


def test_unlabelled_rows_teach_by_the_teacher_alone():
    for form in ("several", "regression"):
        batch = batch_of(form)
        batch["labels"] = torch.full_like(batch["labels"], math.nan)
        objective = HeadObjective(model_of(form), FORMS[form][1], teacher=model_of(form))
        sums = objective(batch)
        assert sums["task"] == 0 and sums["teacher"].isfinite()
        assert objective.counts(batch)["task"] == 0


def test_worked_example_of_class_weights():
    """Weights (1, 2, 4), labels 2 and 0: the mean is (4 * l_2 + 1 * l_0) / 5."""
    weights, batch = torch.tensor([1.0, 2.0, 4.0]), batch_of("single")
    model = model_of("single")
    objective = HeadObjective(model, class_weights=weights)
    logits = logit_rows(model, {k: v for k, v in batch.items() if k != "labels"})
    each = F.cross_entropy(logits[[0, 2]], torch.tensor([2, 0]), reduction="none")
    assert objective.counts(batch) == {"task": 5.0}
    expected = (4 * each[0] + each[1]) / 5
    torch.testing.assert_close(objective(batch)["task"] / 5, expected)


def test_rows_of_question_answering():
    """Starts, then ends, of each window; nothing can be chosen past its end."""
    model, batch = model_of("answers"), batch_of("answers")
    inputs = {k: v for k, v in batch.items() if "positions" not in k}
    rows = logit_rows(model, inputs)
    assert rows.shape == (2 * B, max(LENGTHS))
    assert (rows.isinf().sum(1) == torch.tensor([max(LENGTHS) - n for n in LENGTHS] * 2)).all()
    torch.testing.assert_close(rows[1], model(**inputs).start_logits[5:14])


def test_errors():
    with pytest.raises(ValueError, match=r"TokenClassification with labels .* must be the same"):
        HeadObjective(model_of("single"), teacher=model_of("tags"))
    with pytest.raises(ValueError, match="class weights are for single labels"):
        HeadObjective(
            model_of("several"), "multi_label_classification", class_weights=torch.ones(3)
        )
