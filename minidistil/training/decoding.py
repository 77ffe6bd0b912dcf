"""Logits of examples as what they say of their records: tags of words, answers to questions.

    examples --model--> logits --word_tags, best_answers--> predictions --metrics.py--> scores

Classes and numbers need no decoding: their metrics take logits.

Source: Devlin et al. 2018, section 4.3 (the null answer).
Not here: results for users (`pipelines/`).
"""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from minidistil.pipelines.question_answering import best_spans
from minidistil.training.examples import Example
from minidistil.training.records import QuestionRecord, TagRecord


def word_tags(
    examples: Sequence[Example],
    logits: Sequence[Tensor],
    records: Sequence[TagRecord],
    id2label: Mapping[int, str],
) -> list[list[str]]:
    """A tag for every word of every sentence, from logits (S, num_labels) of every example.

    A word that the tokenizer makes nothing of, such as a control character, is O.
    """
    tags = [["O"] * len(record.words) for record in records]
    for example, scores in zip(examples, logits, strict=True):
        for word, best in zip(example.words.tolist(), scores.argmax(-1).tolist(), strict=True):
            if word >= 0:
                tags[example.record][word] = id2label[best]
    return tags


def best_answers(
    examples: Sequence[Example],
    logits: Sequence[Tensor],
    records: Sequence[QuestionRecord],
    *,
    max_answer_len: int = 30,
    null_threshold: float = math.inf,
) -> dict[str, str]:
    """The answer to each question, by its id; "" is "no answer".

    A span scores the sum of its two logits, and the best of all windows wins. "No answer" scores
    the least that a window gives to [CLS], because one window with the answer is enough.

    Args:
        examples: The windows of all questions.
        logits: Start and end logits of each window, (2, S).
        records: The questions.
        max_answer_len: Longest answer, in tokens.
        null_threshold: By how much "no answer" must outdo the best span; infinite where every
            question has an answer, as in SQuAD 1.1.
    """
    best = [(-math.inf, "")] * len(records)
    null = [math.inf] * len(records)
    for example, window in zip(examples, logits, strict=True):
        number, words, scores = example.record, example.words, window.double().cpu()
        null[number] = min(null[number], float(scores[:, 0].sum()))
        ((first, last, score),) = best_spans(scores, words[:, 0] >= 0, max_answer_len, 1)
        text = records[number].context[int(words[first, 0]) : int(words[last, 1])]
        best[number] = max(best[number], (score, text), key=lambda span: span[0])
    return {
        record.id: "" if none - score > null_threshold else text
        for record, none, (score, text) in zip(records, null, best, strict=True)
    }
