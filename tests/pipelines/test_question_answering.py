"""Question answering against results recorded from transformers 4.57.1, which had the pipeline."""

import json
from pathlib import Path

import pytest
import torch

from minidistil import DistilBertForQuestionAnswering
from minidistil.pipelines import InputError, pipeline
from tests.pipelines.checkpoints import TEXTS, assert_same, save_checkpoint

# Questions, contexts and settings with their answers, for the checkpoint of `save_checkpoint`.
RECORDED = json.loads(
    Path(__file__).with_name("question_answering.json").read_text(encoding="utf-8")
)
LONG = " ".join(TEXTS * 3)


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("question-answering")
    return pipeline("question-answering", save_checkpoint(folder, DistilBertForQuestionAnswering))


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['settings']}")
def test_recorded_answers(answer, case):
    got = answer(question=case["question"], context=case["context"], **case["settings"])
    # They fill up with spans of probability 0, which are no answers.
    want = [one for one in case["answers"] if one["score"] > 0]
    assert_same(got if isinstance(got, list) else [got], want)


def test_the_recorded_contexts_fill_several_windows():
    assert sum(len(case["context"]) > 300 for case in RECORDED) >= 4


def test_best_spans_by_hand(answer):
    """Words of one token each, so that spans of tokens are answers: all of them, one by one."""
    context = "ada was born in paris of the king"
    row = answer.tokenizer("love the king", context)
    places = [i for i, text in enumerate(row.sequence_ids()) if text == 1]
    assert len(places) == len(context.split())
    with torch.no_grad():
        output = answer.model(torch.tensor([row["input_ids"]]))
    # [CLS] and the context share the probability; the question has none.
    start = output.start_logits[0].double()[[0, *places]].softmax(0)[1:].tolist()
    end = output.end_logits[0].double()[[0, *places]].softmax(0)[1:].tolist()
    scores = {
        " ".join(context.split()[first : last + 1]): start[first] * end[last]
        for first in range(len(places))
        for last in range(first, min(first + 3, len(places)))
    }
    answers = answer(question="love the king", context=context, max_answer_len=3, top_k=100)
    assert [one["answer"] for one in answers] == sorted(scores, key=lambda text: -scores[text])
    assert [one["score"] for one in answers] == pytest.approx(sorted(scores.values())[::-1])


def test_answers_are_slices_of_the_context(answer):
    for context in (*TEXTS, LONG):
        for one in answer(question="Who?", context=context, top_k=4):
            assert context[one["start"] : one["end"]] == one["answer"] != ""


def test_no_answer(answer):
    answers = answer(question="Who?", context=TEXTS[0], top_k=500, handle_impossible_answer=True)
    nothing = [one for one in answers if one["answer"] == ""]
    assert len(nothing) == 1 and (nothing[0]["start"], nothing[0]["end"]) == (0, 0)
    assert 0 < nothing[0]["score"] < 1
    assert answers == sorted(answers, key=lambda one: -one["score"])


def test_several_questions(answer):
    items = [{"question": "Who?", "context": text} for text in TEXTS]
    assert_same(answer(items), [answer(**item) for item in items])
    assert answer([]) == []


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ({"question": "", "context": "a"}, InputError, "the question is empty"),
        ({"question": "Who?", "context": " \n"}, InputError, "the context is empty"),
        ({"question": "Who?", "context": "\u200b"}, InputError, "the context has no words"),
        ({"question": "Who?"}, InputError, "keys question and context, not"),
        ({"question": "Who?", "context": None}, TypeError, "context is None, a NoneType"),
        ({"question": b"Who?", "context": "a"}, TypeError, "question is b'Who"),
        (
            {"question": "a " * 70, "context": "a"},
            InputError,
            "has 70 tokens, of the 64 that a window",
        ),
        ({"question": "a " * 70, "context": "a " * 70}, InputError, "; shorten the question$"),
        (
            {"question": "a " * 40, "context": "a " * 40},
            InputError,
            "leaves 21 to the context, and",
        ),
        ("Who?", TypeError, "'Who\\?', not a dict of question and context"),
    ],
)
def test_what_is_refused(answer, item, error, message):
    with pytest.raises(error, match=message):
        answer([item])


def test_settings(answer):
    for name in ("top_k", "max_answer_len", "max_seq_len"):
        with pytest.raises(ValueError, match=f"{name}=0 is no whole number from 1 up"):
            answer(question="a", context="a", **{name: 0})
    for value in (-1, 1.5):
        with pytest.raises(ValueError, match=f"doc_stride={value} is no whole number from 0 up"):
            answer(question="a", context="a", doc_stride=value)
    with pytest.raises(InputError, match="shorten the question or lower doc_stride"):
        answer(question="a", context="a " * 70, doc_stride=60)
    # Where the context is one window, none shares anything with another.
    one = answer(question="a", context="in paris", doc_stride=60)
    assert_same(one, answer(question="a", context="in paris"))
    with pytest.raises(ValueError, match="max_seq_len=65, but the model takes 64"):
        answer(question="a", context="a", max_seq_len=65)
