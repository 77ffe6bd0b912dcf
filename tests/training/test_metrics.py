"""Scores against scikit-learn, and by hand."""

import sys

import pytest
import sklearn.metrics
import torch

from minidistil.training.metrics import (
    answer_metrics,
    choice_metrics,
    tag_metrics,
    text_metrics,
)
from minidistil.training.records import QuestionRecord

SINGLE, MULTI = "single_label_classification", "multi_label_classification"


@pytest.mark.parametrize(("count", "drawn"), [(2, 2), (4, 4), (5, 3)])
def test_a_single_label(count, drawn):
    logits, labels = torch.randn(60, count), torch.randint(drawn, (60,))
    guesses = logits.argmax(-1)
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(labels, guesses),
        "f1_macro": sklearn.metrics.f1_score(labels, guesses, average="macro", zero_division=0),
        "f1_micro": sklearn.metrics.f1_score(labels, guesses, average="micro"),
        "matthews": sklearn.metrics.matthews_corrcoef(labels, guesses),
    }
    assert text_metrics(logits, labels, SINGLE) == pytest.approx(expected, abs=1e-6)


def test_labels_that_never_occur_are_left_out_of_the_mean():
    logits = torch.tensor([[5.0, 0, -9], [5, 0, -9], [0, 5, -9], [5, 0, -9]])
    scores = text_metrics(logits, torch.tensor([0, 0, 1, 1]), SINGLE)
    # Of label 0: precision 2/3, recall 1; of label 1: precision 1, recall 1/2.
    assert scores["f1_macro"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert scores["accuracy"] == scores["f1_micro"] == 0.75


def test_several_labels():
    logits, labels = torch.randn(50, 4), torch.rand(50, 4).round()
    guesses, chances = logits > 0, logits.sigmoid()
    expected = {
        "f1_macro": sklearn.metrics.f1_score(labels, guesses, average="macro"),
        "f1_micro": sklearn.metrics.f1_score(labels, guesses, average="micro"),
        "mean_average_precision": sklearn.metrics.average_precision_score(labels, chances),
    }
    assert text_metrics(logits, labels, MULTI) == pytest.approx(expected, abs=1e-6)


def test_a_label_that_never_occurs_counts_nothing():
    logits = torch.tensor([[2.0, 1], [1, 2], [0, 0]])
    labels = torch.tensor([[0.0, 0], [1, 0], [0, 0]])
    # Of label 0 the one that is right comes second.
    scores = text_metrics(logits, labels, MULTI)
    assert scores["mean_average_precision"] == pytest.approx((1 / 2 + 0) / 2)


def test_regression():
    logits, labels = torch.tensor([[1.0], [2], [4], [3]]), torch.tensor([1.0, 3, 10, 3])
    scores = text_metrics(logits, labels, "regression")
    assert scores["mse"] == pytest.approx((0 + 1 + 36 + 0) / 4)
    both = torch.stack((logits.flatten(), labels))
    assert scores["pearson"] == pytest.approx(float(torch.corrcoef(both)[0, 1]))
    # Ranks 1 2 4 3 and, with the two threes sharing theirs, 1 2.5 4 2.5.
    ranks = torch.tensor([[1.0, 2, 4, 3], [1, 2.5, 4, 2.5]])
    assert scores["spearman"] == pytest.approx(float(torch.corrcoef(ranks)[0, 1]))


@pytest.mark.filterwarnings("ignore:The variance")
def test_nothing_correlates_with_a_constant():
    scores = text_metrics(torch.ones(3, 1), torch.tensor([1.0, 2, 3]), "regression")
    assert scores == pytest.approx({"pearson": 0, "spearman": 0, "mse": 5 / 3})


def test_entities():
    right = [["B-x", "I-x", "O", "B-y"], ["O", "B-x"], ["I-y", "I-y"]]
    guessed = [["B-x", "I-x", "O", "B-x"], ["O", "O"], ["B-y", "I-y"]]
    # Found: x at 0-1, y at 0-1 of the third (I- starts an entity, too); wrong: x for y; missed: x.
    scores = tag_metrics(guessed, right)
    assert scores == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 4, "f1": 4 / 7, "accuracy": 5 / 8}
    )


def test_no_entities_are_no_warning(recwarn):
    scores = tag_metrics([["O", "O"]], [["O", "O"]])
    assert scores == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "accuracy": 1.0}
    assert not recwarn.list


@pytest.mark.parametrize(
    ("said", "answers", "exact", "f1"),
    [
        ("The  Cat!", ("cat",), 1, 1),
        ("a black cat", ("the cat sat",), 0, 0.5),
        ("cat cat", ("cat",), 0, 2 / 3),
        ("dog", ("cat", "a dog"), 1, 1),
        ("dog", ("cat",), 0, 0),
        ("co-op", ("coop",), 1, 1),
        ("another", ("other",), 0, 0),
        ("pizza", ("pizz",), 0, 0),
        ("", ("cat",), 0, 0),
        ("cat", (), 0, 0),
        ("", (), 1, 1),
        ("the", (), 1, 1),
        ("\u201ccat\u201d", ("cat",), 0, 0),
    ],
)
def test_answers(said, answers, exact, f1):
    record = QuestionRecord("q", "?", "c", tuple((text, 0) for text in answers), not answers)
    assert answer_metrics({"q": said}, [record]) == pytest.approx({"exact_match": exact, "f1": f1})


def test_answers_are_averaged():
    records = [QuestionRecord(name, "?", "c", (("a b c", 0),)) for name in "xyz"]
    scores = answer_metrics({"x": "b c", "y": "b", "z": ""}, records)
    assert scores == pytest.approx({"exact_match": 1 / 3, "f1": (1 + 2 / 3) / 3})


def test_choices():
    logits = torch.tensor([[0.0, 1], [1, 0], [3, 2], [0, 1]])
    assert choice_metrics(logits, torch.tensor([1, 0, 1, 1])) == {"accuracy": 0.75}


def test_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "seqeval", None)
    monkeypatch.delitem(sys.modules, "seqeval.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    advice = r"pip install 'minidistil\[train\]'"
    with pytest.raises(ValueError, match=f"need seqeval: {advice}"):
        tag_metrics([["O"]], [["O"]])
    with pytest.raises(ValueError, match=f"need torchmetrics: {advice}"):
        text_metrics(torch.ones(1, 2), torch.zeros(1), SINGLE)
