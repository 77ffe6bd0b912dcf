"""The recipe made small: who learns from what, and the scores against those formed row by row."""

import itertools
import json
import math

import pytest
import torch

from minidistil.distillation.source import MaskedBatches
from minidistil.reproduction.masked_lm import VARIANTS, MaskedLMRecipe, MaskedLMRun
from tests.helpers.weights import minilm_folder

LEARN = [
    f"In the year {i} the king of the north was {i % 7} years older than before." for i in range(40)
]
JUDGE = [
    f"In the year {i} the queen of the south was {i % 5} years older than the king."
    for i in range(9)
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    minilm_folder()
    recipe = MaskedLMRecipe(teacher_epochs=6, every=2, epochs=3, tokens_per_batch=256)
    return MaskedLMRun(LEARN, JUDGE, tmp_path_factory.mktemp("run"), recipe)


@pytest.fixture(scope="module")
def teacher(run):
    return run.teacher


@pytest.mark.slow
def test_the_teacher_learns_to_guess(run, teacher):
    assert teacher.config.n_layers == 6 and not teacher.training
    lines = (run.folder / "teacher" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]).keys() >= {"mlm"} and "cos" not in json.loads(lines[-1])
    assert run.scores(teacher)["loss"] < 0.8 * math.log(teacher.config.vocab_size)
    again = MaskedLMRun(LEARN, JUDGE, run.folder, run.recipe).teacher  # trained already
    assert all(
        torch.equal(a, b) for a, b in zip(teacher.parameters(), again.parameters(), strict=True)
    )


@pytest.mark.slow
def test_scores_row_by_row(run, teacher):
    source = MaskedBatches(run.held, tokens_per_batch=256, seed=0)
    right, losses = [], []
    for step in range(source.steps(1)):
        (batch,) = source.batches(step)
        ends = batch["cu_seqlens"].tolist()
        for first, last in itertools.pairwise(ends):
            ids, labels = batch["input_ids"][first:last], batch["labels"][first:last]
            with torch.no_grad():
                chances = teacher(ids[None]).logits[0].log_softmax(-1)
            for place in (labels >= 0).nonzero().flatten().tolist():
                right.append(int(chances[place].argmax()) == int(labels[place]))
                losses.append(-float(chances[place, labels[place]]))
    found = run.scores(teacher)
    assert len(right) > 15
    assert found["accuracy"] == pytest.approx(sum(right) / len(right))
    assert found["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    assert run.scores(teacher) == found


@pytest.mark.slow
def test_students_of_a_variant(run, teacher):
    student, untrained = run.student("all losses", 0), run.untrained()
    assert student.config.n_layers == 3
    fresh = run.student("random layers", 0)
    start = teacher.distilbert.transformer.layer[0].ffn.lin1.weight

    def moved(model):
        weight = model.distilbert.transformer.layer[0].ffn.lin1.weight
        return ((weight - start).norm() / start.norm()).item()

    assert moved(untrained) == 0 < moved(student) < 0.3 < moved(fresh)
    assert run.scores(student)["loss"] < run.scores(untrained)["loss"]


def test_each_variant_leaves_one_out():
    weights = {name: (w.ce, w.mlm, w.cos) for name, w in VARIANTS.items()}
    assert weights == {
        "all losses": (5, 2, 1), "no ce": (0, 2, 1), "no mlm": (5, 0, 1), "no cos": (5, 2, 0),
        "random layers": (5, 2, 1),
    }  # fmt: skip
