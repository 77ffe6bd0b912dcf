"""From logits back to words and answers: by hand, and the way there and back on real data."""

import math

import pytest
import torch

from minidistil.training.decoding import best_answers, word_tags
from minidistil.training.examples import make_examples
from minidistil.training.records import QuestionRecord, TagRecord
from tests.training.data import small_tokenizer

TOKENIZER = small_tokenizer()
TAGS = {0: "O", 1: "B-x", 2: "I-x"}
CONTEXT = "ada was born in paris of the king"


def test_tags_there_and_back():
    words = (*CONTEXT.split(), "xyz", "\u200b", "1843")
    records = [
        TagRecord(
            words * 3, ("B-x", "I-x", "O", "O", "B-x", "B-x", "I-x", "I-x", "O", "O", "B-x") * 3
        ),
        TagRecord(("lovely",), ("I-x",)),
    ]
    examples = make_examples(records, TOKENIZER, max_length=16, id2label=TAGS)
    assert len(examples) > 3
    # The right label wins, and where there is none a wrong one.
    logits = [torch.eye(3)[torch.from_numpy(e.labels["labels"]).clamp(min=-1)] for e in examples]
    assert word_tags(examples, logits, records, TAGS) == [[*record.tags] for record in records]


def question(name="q", context=CONTEXT):
    return QuestionRecord(name, "who?", context, (), True)


def scores(example, first=None, last=None, height=5.0, null=0.0):
    """Logits that stand out at two tokens, counted in the context, and at [CLS]."""
    logits = torch.zeros(2, len(example.rows[0]))
    logits[:, 0] = null / 2
    places = (example.words[:, 0] >= 0).nonzero().flatten().tolist()
    if first is not None:
        logits[0, places[first]] = logits[1, places[last]] = height
    return logits


def answer(logits, record=None, max_length=64, **options):
    record = record or question()
    examples = make_examples([record], TOKENIZER, max_length=max_length, doc_stride=2)
    made = [make(example) for make, example in zip(logits, examples, strict=True)]
    return best_answers(examples, made, [record], **options)["q"]


def test_the_best_span():
    assert answer([lambda e: scores(e, 1, 4)]) == "was born in paris"
    assert answer([lambda e: scores(e, 4, 4)]) == "paris"
    # An end before the start, or too far behind it, is none.
    backwards = answer([lambda e: scores(e, 4, 1)])
    assert "paris" in backwards or "was" in backwards
    assert len(answer([lambda e: scores(e, 0, 7)], max_answer_len=3).split()) <= 3
    assert answer([lambda e: scores(e, 0, 7)], max_answer_len=8) == CONTEXT


def test_high_scores_outside_of_the_context_are_none():
    def asked(example):
        logits = scores(example, 4, 4)
        logits[:, 1:3] = 100.0
        return logits

    assert answer([asked]) == "paris"


def test_an_answer_grows_to_whole_words():
    record = question(context="in xyz land")
    assert answer([lambda e: scores(e, 2, 2)], record) == "xyz"


def test_the_best_of_all_windows():
    windows = [lambda e: scores(e, 0, 0, 3.0), lambda e: scores(e, 1, 1, 4.0)]
    # Tokens of the context: 6 in the first window, 2 of them again in the second.
    assert answer(windows, max_length=13) == "of"
    windows = [lambda e: scores(e, 0, 0, 4.0), lambda e: scores(e, 1, 1, 3.0)]
    assert answer(windows, max_length=13) == "ada"


@pytest.mark.parametrize(
    ("nulls", "threshold", "expected"),
    [
        ((9.0,), 0.0, "paris"),
        ((11.0,), 0.0, ""),
        ((11.0,), 2.0, "paris"),
        ((9.0,), -2.0, ""),
        ((100.0,), math.inf, "paris"),
    ],
)
def test_no_answer(nulls, threshold, expected):
    made = [lambda e, n=null: scores(e, 4, 4, null=n) for null in nulls]
    assert answer(made, null_threshold=threshold) == expected


def test_one_window_with_an_answer_is_enough():
    """The window without it is sure that there is none; the least [CLS] counts."""
    windows = [lambda e: scores(e, 4, 4, null=1.0), lambda e: scores(e, null=50.0)]
    assert answer(windows, max_length=13, null_threshold=0.0) == "paris"
    windows = [lambda e: scores(e, 4, 4, null=50.0), lambda e: scores(e, null=50.0)]
    assert answer(windows, max_length=13, null_threshold=0.0) == ""


def test_several_questions():
    records = [question("a"), question("b", "the king was ada")]
    examples = make_examples(records, TOKENIZER, max_length=64)
    logits = [scores(examples[0], 0, 0), scores(examples[1], 1, 1)]
    assert best_answers(examples, logits, records) == {"a": "ada", "b": "king"}


def test_what_does_not_fit_is_refused():
    examples = make_examples([question()], TOKENIZER, max_length=64)
    with pytest.raises(ValueError):
        best_answers(examples, [], [question()])
