"""Multiple choice against transformers' model, choice by choice."""

import pytest
import torch
import transformers

from minidistil import DistilBertForMultipleChoice
from minidistil.pipelines import InputError, pipeline
from tests.pipelines.checkpoints import TEXTS, save_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("multiple-choice"), DistilBertForMultipleChoice)


@pytest.fixture(scope="module")
def choose(folder):
    return pipeline("multiple-choice", folder)


@torch.no_grad()
def test_scores(choose, folder):
    model = transformers.DistilBertForMultipleChoice.from_pretrained(folder).eval()
    tokenizer = transformers.DistilBertTokenizer.from_pretrained(folder)
    items = [
        {"prompt": "the king", "choices": TEXTS[:4]},
        {"prompt": "Ada was born in", "choices": ["paris.", "a lovely song, wasn't she?"]},
    ]
    for item, result in zip(items, choose(items), strict=True):
        rows = tokenizer(
            [item["prompt"]] * len(item["choices"]),
            item["choices"],
            padding=True,
            return_tensors="pt",
        )
        inputs = {name: rows[name][None] for name in ("input_ids", "attention_mask")}
        scores = model(**inputs).logits[0].softmax(0)
        assert result["scores"] == pytest.approx(scores.tolist(), abs=1e-5)
        assert result["choice"] == int(scores.argmax())
        assert sum(result["scores"]) == pytest.approx(1)


def test_by_keyword(choose):
    choices = ("a", "the")
    one = choose(prompt="the king", choices=choices)
    assert choose([{"prompt": "the king", "choices": choices}]) == [one]


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ({"prompt": "a", "choices": ["b"]}, InputError, "two choices or more, not"),
        ({"prompt": "a", "choices": "bc"}, TypeError, "choices is 'bc', not a list"),
        ({"prompt": "a", "choices": ["b", 1]}, TypeError, r"choices\[1\] is 1, a int"),
        ({"prompt": None, "choices": ["b", "c"]}, TypeError, "prompt is None"),
        ({"prompt": "a"}, InputError, "keys prompt and choices, not"),
        (["a", "b"], TypeError, "not a dict of prompt and choices"),
    ],
)
def test_what_is_refused(choose, item, error, message):
    with pytest.raises(error, match=message):
        choose([item])
