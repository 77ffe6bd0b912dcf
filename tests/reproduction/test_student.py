"""The run of the shipped student, with MiniLM's real weights and a few texts."""

import json

import pytest
import torch

from minidistil import DistilBertForSequenceClassification, DistilBertModel, DistilBertTokenizer
from minidistil.reproduction.student import StudentRecipe, StudentRun
from minidistil.reproduction.texts import Texts
from minidistil.training.records import TextRecord
from tests.helpers.weights import minilm_folder

GOOD, BAD = "what a lovely warm and funny film", "a dull and painful waste of an evening"


def few_texts():
    records = [TextRecord(f"{GOOD} number {i}", label="positive") for i in range(12)]
    records += [TextRecord(f"{BAD} number {i}", label="negative") for i in range(12)]
    kinds = {"reviews": records, "comments": records[:2]}
    learn = [record.text for record in records] + [f"The house has {i} doors." for i in range(20)]
    return Texts(learn, {"learn": kinds, "choose": kinds}, {})


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    minilm_folder()
    folder = tmp_path_factory.mktemp("run")
    recipe = StudentRecipe(epochs=4, tokens_per_batch=128)
    run = StudentRun(few_texts(), folder, recipe)
    return run, run.student(), folder


@pytest.mark.slow
def test_the_student_is_small_and_loads_as_any_checkpoint(done):
    run, student, folder = done
    place = folder / "student-0"
    loaded = DistilBertForSequenceClassification.from_pretrained(place)
    assert loaded.config.n_layers == 3 and loaded.config.id2label == {0: "negative", 1: "positive"}
    assert loaded.config.seq_classif_dropout == run.teacher.config.seq_classif_dropout == 0.2
    tokenizer = DistilBertTokenizer.from_pretrained(place)
    ids = tokenizer([GOOD, BAD], padding=True, return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(loaded(**ids).logits, student(**ids).logits, atol=1e-5, rtol=0)
    assert (place / "model.safetensors").stat().st_size < 18e6


@pytest.mark.slow
def test_it_learned_from_both_teachers(done):
    run, student, _ = done
    teacher, labeller = run.teacher.eval(), run.labeller()
    ids = run.tokenizer([GOOD, BAD, "A door."], padding=True, return_tensors="pt")

    def means(encoder: DistilBertModel):
        mask = ids["attention_mask"][..., None]
        with torch.no_grad():
            return (encoder(**ids).last_hidden_state * mask).sum(1) / mask.sum(1)

    want = means(teacher)
    near, before = (
        torch.cosine_similarity(means(one.distilbert.eval()), want).mean()
        for one in (student, run.untrained())
    )
    assert near > before + 0.05
    with torch.no_grad():
        for model in (labeller, student):
            assert model(**ids).logits[:2].argmax(-1).tolist() == [1, 0]


@pytest.mark.slow
def test_a_second_call_returns_the_same(done):
    run, student, folder = done
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("step-*/model.safetensors")}
    again = run.student()
    assert all(
        torch.equal(a, b) for a, b in zip(student.parameters(), again.parameters(), strict=True)
    )
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("step-*/model.safetensors")}
    assert len(before) == 2  # the labeller's and the student's


@pytest.mark.slow
def test_seeds_differ_and_controls_have_no_teacher(done):
    run, student, folder = done
    other = StudentRun(run.texts, folder, StudentRecipe(epochs=4, tokens_per_batch=128, seed=1))
    assert not torch.equal(other.student().classifier.bias, student.classifier.bias)
    control = other.control()
    assert control.config.n_layers == 3
    described = json.loads(next((folder / "control-1").rglob("state.json")).read_text())
    assert described["settings"]["seed"] == 1


@pytest.mark.slow
def test_other_texts_are_refused(done):
    run, _, folder = done
    few = Texts(run.texts.learn[:30], run.texts.labelled, {})
    with pytest.raises(ValueError, match=r"texts.txt holds other texts"):
        StudentRun(few, folder, run.recipe)
