"""Sentences: what the teachers are asked, and the losses against those formed text by text."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from minidistil import DistilBertForSequenceClassification, DistilBertModel
from minidistil.distillation import losses, pack
from minidistil.distillation.sentences import (
    AnsweredBatches,
    Answers,
    SentenceDistillation,
    ask,
    mean_vectors,
)
from minidistil.training.settings import TrainingSettings
from minidistil.training.trainer import Trainer
from tests.helpers.training import tiny_masked_lm, token_file

CONFIG = tiny_masked_lm(dropout=0.0, attention_dropout=0.0, num_labels=3).config


def labeller(seed=0):
    torch.manual_seed(seed)
    model = DistilBertForSequenceClassification(CONFIG).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    return model


@pytest.fixture
def data(tmp_path):
    return token_file(tmp_path / "tokens", sequences=23)


def test_the_mean_is_that_of_each_text():
    hidden = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    ends = torch.tensor([0, 2, 3, 9], dtype=torch.int32)
    want = torch.stack([hidden[0:2].mean(0), hidden[2], hidden[3:9].mean(0)])
    torch.testing.assert_close(mean_vectors(hidden, ends), want)
    weights = torch.randn(3, 4, dtype=torch.float64)
    ours, theirs = (
        torch.autograd.grad((x * weights).sum(), hidden)[0]
        for x in (mean_vectors(hidden, ends), want)
    )
    torch.testing.assert_close(ours, theirs)
    assert mean_vectors(hidden.bfloat16(), ends).dtype == torch.float32


def test_answers_are_what_the_teachers_say_of_each_text_alone(data, tmp_path):
    model = labeller()
    answers = ask(data, model.distilbert, model, tmp_path / "answers", tokens_per_batch=40)
    for number in range(len(data)):
        ids = torch.from_numpy(data[number].astype(np.int64))[None]
        with torch.no_grad():
            vector = model.distilbert(ids).last_hidden_state.mean(1)
            torch.testing.assert_close(answers.logits[number], model(ids).logits[0])
        vector = torch.nn.functional.normalize(vector)[0]
        torch.testing.assert_close(answers.vectors[number].float(), vector, atol=5e-4, rtol=0)


def test_what_was_answered_is_not_asked_again(data, tmp_path):
    model = labeller()
    first = ask(data, model.distilbert, model, tmp_path / "answers")
    again = ask(data, None, None, tmp_path / "answers")
    assert torch.equal(first.vectors, again.vectors) and torch.equal(first.logits, again.logits)
    other = token_file(tmp_path / "others", sequences=7)
    with pytest.raises(ValueError, match="answers 23 texts, there are 7"):
        ask(other, None, None, tmp_path / "answers")


def test_an_epoch_has_every_text_once_with_its_answers(data):
    numbers = torch.arange(len(data))
    answers = Answers(numbers[:, None].half(), numbers[:, None].float())
    source = AnsweredBatches(data, answers, tokens_per_batch=40, epochs=3, seed=1)
    batches = [source.batches(step)[0] for step in range(source.steps)]
    assert torch.equal(source.batches(2)[0]["input_ids"], batches[2]["input_ids"])
    met = torch.cat([batch["vectors"][:, 0] for batch in batches]).long()
    assert met.view(3, -1).sort().values.tolist() == [numbers.tolist()] * 3
    assert met.view(3, -1)[0].tolist() != met.view(3, -1)[1].tolist()
    for batch in batches:
        ends = batch["cu_seqlens"].tolist()
        for place, number in enumerate(batch["logits"][:, 0].long().tolist()):
            ids = batch["input_ids"][ends[place] : ends[place + 1]]
            assert ids.tolist() == data[number].tolist()


def test_losses_against_those_of_each_text_alone(data):
    student = labeller().train()
    answers = Answers(torch.randn(23, 16).half(), torch.randn(23, 3))
    batch = AnsweredBatches(data, answers, tokens_per_batch=60, epochs=1, seed=2).batches(0)[0]
    objective = SentenceDistillation(student, alpha_vector=2.0, alpha_label=3.0, temperature=1.5)
    assert objective.student is student
    assert objective.weights == {"vector": 2.0, "label": 3.0}
    texts = len(batch["vectors"])
    assert objective.counts(batch) == {"vector": texts, "label": texts} and texts > 2
    want = {"vector": 0.0, "label": 0.0}
    student.eval()  # the dropout of the head
    for ids, vector, logits in zip(
        batch["input_ids"].split(batch["cu_seqlens"].diff().tolist()),
        batch["vectors"],
        batch["logits"],
        strict=True,
    ):
        mean = student.distilbert(ids[None]).last_hidden_state.mean(1)
        want["vector"] += losses.cosine(mean, vector[None])
        want["label"] += losses.divergence(student(ids[None]).logits, logits[None], 1.5)
    found = objective(batch)
    for name, value in want.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


def test_a_student_learns_both(data, tmp_path):
    """Three layers become like two of another model, in vectors and in labels."""
    teacher = labeller(1)
    answers = ask(data, teacher.distilbert, teacher, tmp_path / "answers")
    torch.manual_seed(3)
    student = DistilBertForSequenceClassification(
        replace(CONFIG, n_layers=3, seq_classif_dropout=0)
    )
    objective = SentenceDistillation(student)
    source = AnsweredBatches(data, answers, tokens_per_batch=60, epochs=25, seed=4)
    everything = pack([data[number] for number in range(len(data))])
    everything |= {"vectors": answers.vectors, "logits": answers.logits}
    before = {name: loss.item() for name, loss in objective(everything).items()}
    settings = TrainingSettings(source.steps, learning_rate=3e-3)
    Trainer(objective, source, settings, tmp_path / "run").run()
    after = {name: loss.item() for name, loss in objective(everything).items()}
    assert all(after[name] < 0.3 * before[name] for name in before), (before, after)


def test_the_vectors_teacher_may_be_another_model(data, tmp_path):
    model, teacher = labeller(), DistilBertModel(replace(CONFIG, dim=8, n_layers=1)).eval()
    answers = ask(data, teacher, model, tmp_path / "answers")
    assert answers.vectors.shape == (23, 8) and answers.logits.shape == (23, 3)
