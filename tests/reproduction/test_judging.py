"""The judge: agreement by ranks, accuracy by labels, on a model small enough to check by hand."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr

from minidistil import DistilBertForSequenceClassification, DistilBertTokenizer
from minidistil.reproduction.judging import Judge
from minidistil.reproduction.texts import Texts
from minidistil.training.records import TextRecord
from tests.helpers.training import WORDS, tiny_masked_lm

TOKENIZER = DistilBertTokenizer({word: i for i, word in enumerate(WORDS)})


def model(seed):
    torch.manual_seed(seed)
    config = replace(
        tiny_masked_lm().config, id2label={0: "negative", 1: "positive"}, label2id=None
    )
    built = DistilBertForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(5)
    return built


def texts():
    def pairs(shift):
        return [(f"w{i} w{i + shift} w3", f"w{2 * i} w{i}") for i in range(1, 20)]

    records = [
        TextRecord(f"w{i} w{i + 1}", label=("negative", "positive")[i % 3 > 0]) for i in range(30)
    ]
    return Texts(
        [], {"choose": {"reviews": records}}, {"choose": {"book": pairs(1), "speeches": pairs(2)}}
    )


def vector(model, text):
    ids = torch.tensor([TOKENIZER(text)["input_ids"]])
    with torch.no_grad():
        return model.distilbert(ids).last_hidden_state[0].mean(0)


def test_agreement_is_that_of_the_ranks_of_cosines():
    teacher, student = model(0), model(1)
    found = Judge(teacher, TOKENIZER, texts(), "choose").agreement(student)
    sides = {}
    for kind, pairs in texts().pairs["choose"].items():
        sides[kind] = [
            [
                float(torch.cosine_similarity(vector(one, a), vector(one, b), dim=0))
                for a, b in pairs
            ]
            for one in (student, teacher)
        ]
    sides["all"] = [[*sides["book"][i], *sides["speeches"][i]] for i in (0, 1)]
    assert found.keys() == sides.keys()
    for kind, (ours, theirs) in sides.items():
        assert found[kind] == pytest.approx(spearmanr(ours, theirs).statistic, abs=1e-3)
        assert abs(found[kind]) < 0.9


def test_a_model_agrees_with_itself():
    teacher = model(0)
    found = Judge(teacher, TOKENIZER, texts(), "choose").agreement(teacher)
    assert found == pytest.approx({"book": 1.0, "speeches": 1.0, "all": 1.0})


def test_accuracy_is_the_share_of_right_labels():
    one, made = model(2), texts()
    found = Judge(one, TOKENIZER, made, "choose").accuracy(one)
    right = 0
    for record in made.labelled["choose"]["reviews"]:
        with torch.no_grad():
            logits = one(torch.tensor([TOKENIZER(record.text)["input_ids"]])).logits
        right += one.config.id2label[int(logits.argmax())] == record.label
    assert found == {"reviews": pytest.approx(right / 30)} and 0 < right < 30


def test_few_pairs_are_the_first_of_each_kind():
    made = texts()
    judge = Judge(model(0), TOKENIZER, made, "choose", every=4)
    first = {kind: pairs[:5] for kind, pairs in made.pairs["choose"].items()}  # of 19
    assert judge.pairs == first
    assert Judge(model(0), TOKENIZER, made, "choose", every=100).pairs["book"] == first["book"][:1]
