"""The student that is shipped: small, ready, as good as its card says."""

import json
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from minidistil import DistilBertForSequenceClassification, DistilBertTokenizer, pipeline
from minidistil.assets import STUDENT
from minidistil.reproduction.judging import Judge
from minidistil.reproduction.student import StudentRecipe, StudentRun
from minidistil.reproduction.texts import read_all
from tests.helpers.weights import minilm_folder

SCORES = json.loads((STUDENT / "scores.json").read_text(encoding="utf-8"))
SHIPPED = "student 0"


def test_it_is_small_and_int8():
    assert sum(path.stat().st_size for path in STUDENT.iterdir()) <= 20e6
    config = json.loads((STUDENT / "config.json").read_text())
    assert config["quantization_config"] == {"quant_method": "minidistil_int8_rows"}
    assert config["n_layers"] == 3 and config["dropout"] == 0.1


def test_it_is_the_default_and_needs_no_model_option(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classify, embed = pipeline("sentiment-analysis"), pipeline("feature-extraction")
    labels = classify(["What a lovely film!", "I hate this so much.", "It was a waste of time."])
    assert [label["label"] for label in labels] == ["positive", "negative", "negative"]
    assert min(label["score"] for label in labels) > 0.8
    cat, feline, tax = embed(
        [
            "The cat sat on the mat.",
            "A feline rested on the rug.",
            "Congress cut the tax on income.",
        ]
    )
    assert cat @ feline > cat @ tax + 0.3


def test_the_card_says_the_scores():
    card = (STUDENT / "README.md").read_text(encoding="utf-8")
    kinds = {
        "agreement": ("speeches", "paragraphs", "book", "comments", "reviews", "all"),
        "accuracy": ("reviews", "comments"),
    }
    said = {}  # (first words of a row, what) -> numbers
    for line in card.splitlines():
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if cells and all(re.fullmatch(r"-?[01]\.\d{3}", cell) for cell in cells):
            said[name, "agreement" if len(cells) == 6 else "accuracy"] = cells
    rows = {"the teacher of sentiment": "labeller", "untrained": "untrained"}
    rows |= {f"{name.replace(' ', ', seed ')}": name for name in SCORES if name[-1].isdigit()}
    for (name, what), cells in said.items():
        (of,) = (scores for start, scores in rows.items() if name.startswith(start))
        assert cells == [f"{SCORES[of][what][kind]:.3f}" for kind in kinds[what]], (name, what)
    students = sum(name.startswith("student") for name in SCORES)
    assert len(said) == 2 * (len(SCORES) - 1) + 1 and students >= 1
    recipe = StudentRecipe()
    layers = ", ".join(map(str, recipe.layers))
    for fact in (f"{recipe.epochs} passes", f"layers {layers}"):
        assert fact in card


def test_the_bars():
    """Within two points of the teacher of sentiment; at 0.95 in the order of pairs."""
    student, teacher = SCORES[SHIPPED], SCORES["labeller"]
    assert student["accuracy"]["reviews"] >= teacher["accuracy"]["reviews"] - 0.02
    assert student["agreement"]["all"] >= 0.95


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_scores_come_out_again(tmp_path):
    if "MINIDISTIL_DATA" not in os.environ:
        pytest.skip("needs real texts: set MINIDISTIL_DATA")
    minilm_folder()
    texts = read_all(Path(os.environ["MINIDISTIL_DATA"]), tmp_path)
    # Two kinds of the five: paragraphs alone would take minutes.
    pairs = {kind: texts.pairs["judge"][kind] for kind in ("speeches", "comments")}
    texts = replace(texts, pairs={"judge": pairs})
    run = StudentRun(texts, tmp_path)
    student = DistilBertForSequenceClassification.from_pretrained(STUDENT)
    judge = Judge(run.teacher, DistilBertTokenizer.from_pretrained(STUDENT), texts)
    want, found = SCORES[SHIPPED]["agreement"], judge.agreement(student)
    assert all(abs(found[kind] - want[kind]) < 2e-3 for kind in pairs), found
    assert judge.accuracy(student) == pytest.approx(SCORES[SHIPPED]["accuracy"], abs=2e-3)
