"""How good predictions are: the usual scores of each task, as a flat dict of numbers.

    logits --[decoding.py]--> predictions, beside what is right --> {"exact_match": 0.8, ...}

Accuracies, F1 and the like are fractions of 1, not percent. torchmetrics and seqeval do the
counting; they come with `pip install 'minidistil[train]'`.

Source: Rajpurkar et al. 2016, section 6.1, and 2018 (exact match, F1 of words); Tjong Kim Sang and
De Meulder 2003, arXiv cs/0306050 (entities).
Not here: losses.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from torch import Tensor

from minidistil.training.records import QuestionRecord


def installed(package: str) -> Any:
    """Import a package of the extra `train`.

    Raises:
        ValueError: It is not there.
    """
    try:
        return import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise ValueError(f"scores need {name}: pip install 'minidistil[train]'") from error


def text_metrics(logits: Tensor, labels: Tensor, problem_type: str) -> dict[str, float]:
    """Scores of text classification.

    Args:
        logits: (B, num_labels).
        labels: (B,) ids or numbers, or (B, num_labels) of 0 and 1.
        problem_type: As in `DistilBertConfig`.

    Returns:
        Regression: `pearson` and `spearman`, 0 where a side is constant, and `mse`.
        Several labels: `f1_macro`, `f1_micro` (a label is given above a probability of a half) and
        `mean_average_precision`; a label that never occurs counts 0.
        A single label: `accuracy`, `f1_macro`, over the labels that occur or are given, `f1_micro`,
        `matthews`.

    Raises:
        ValueError: torchmetrics is not installed.
    """
    functional = installed("torchmetrics").functional
    classification = functional.classification
    count = logits.shape[1]
    if problem_type == "regression":
        guesses, labels = logits.flatten().double(), labels.flatten().double()
        scores = {
            # NaN where a side is constant: nothing of it is explained, and JSON has no NaN.
            "pearson": functional.pearson_corrcoef(guesses, labels).nan_to_num(),
            "spearman": functional.spearman_corrcoef(guesses, labels),
            "mse": functional.mean_squared_error(guesses, labels),
        }
    elif problem_type == "multi_label_classification":
        chances, labels = logits.sigmoid(), labels.long()
        f1 = classification.multilabel_f1_score
        scores = {
            "f1_macro": f1(chances, labels, count, average="macro"),
            "f1_micro": f1(chances, labels, count, average="micro"),
            "mean_average_precision": classification.multilabel_average_precision(
                chances, labels, count
            ),
        }
    else:
        f1 = classification.multiclass_f1_score
        scores = {
            "accuracy": classification.multiclass_accuracy(logits, labels, count, average="micro"),
            "f1_macro": f1(logits, labels, count, average="macro"),
            "f1_micro": f1(logits, labels, count, average="micro"),
            "matthews": classification.multiclass_matthews_corrcoef(logits, labels, count),
        }
    return {name: float(score) for name, score in scores.items()}


def tag_metrics(predicted: list[list[str]], right: list[list[str]]) -> dict[str, float]:
    """`precision`, `recall` and `f1` of whole entities, `accuracy` of words, by BIO tags.

    Raises:
        ValueError: seqeval is not installed.
    """
    metrics, quiet = installed("seqeval.metrics"), {"zero_division": 0}
    scores: dict[str, Any] = {
        "precision": metrics.precision_score(right, predicted, **quiet),
        "recall": metrics.recall_score(right, predicted, **quiet),
        "f1": metrics.f1_score(right, predicted, **quiet),
        "accuracy": metrics.accuracy_score(right, predicted),
    }
    return {name: float(score) for name, score in scores.items()}


def answer_metrics(
    predicted: Mapping[str, str], records: Sequence[QuestionRecord]
) -> dict[str, float]:
    """`exact_match` and `f1` of words, each with the right answer that fits best.

    Args:
        predicted: Answers by id of the question; "" is "no answer".
        records: The questions with what is right; nothing is, where one is impossible.
    """
    exact = f1 = 0.0
    for record in records:
        said = _normalised(predicted[record.id])
        right = [_normalised(text) for text, _ in record.answers] or [[]]
        exact += max(said == words for words in right)
        f1 += max(_word_f1(said, words) for words in right)
    return {"exact_match": exact / len(records), "f1": f1 / len(records)}


def choice_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """`accuracy` of choices, from logits (B, C) and right choices (B,)."""
    return {"accuracy": float((logits.argmax(-1) == labels).double().mean())}


def _normalised(answer: str) -> list[str]:
    """Words of an answer without case, punctuation and articles."""
    bare = "".join(char for char in answer.lower() if char not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def _word_f1(said: list[str], right: list[str]) -> float:
    """Harmonic mean of precision and recall of words; no words are right only for none."""
    common = (Counter(said) & Counter(right)).total()
    return 2 * common / (len(said) + len(right)) if said else float(not right)
