"""Text classification against transformers' pipeline."""

import pytest
import transformers

from minidistil import DistilBertForSequenceClassification
from minidistil.pipelines import InputError, pipeline
from tests.pipelines.checkpoints import TEXTS, assert_same, save_checkpoint

KINDS = {
    "single": {"num_labels": 3},
    "two": {"id2label": {0: "NEGATIVE", 1: "POSITIVE"}},
    "multi": {"num_labels": 4, "problem_type": "multi_label_classification"},
    "one-label": {"num_labels": 1},
    "regression": {"num_labels": 1, "problem_type": "regression"},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    top = tmp_path_factory.mktemp("text-classification")
    return {
        kind: save_checkpoint(top / kind, DistilBertForSequenceClassification, **fields)
        for kind, fields in KINDS.items()
    }


def both(folder):
    task = "text-classification"
    return pipeline(task, folder), transformers.pipeline(task, str(folder), device="cpu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings", [{}, {"top_k": 1}, {"top_k": 2}, {"top_k": None}, {"function_to_apply": "none"}]
)
def test_labels_and_scores(folders, kind, settings):
    ours, theirs = both(folders[kind])
    assert_same(ours(TEXTS, **settings), theirs(TEXTS, **settings))
    assert_same(ours(TEXTS[0], **settings), theirs(TEXTS[0], **settings))


def test_pairs(folders):
    ours, theirs = both(folders["single"])
    pairs = [{"text": text, "text_pair": "in Paris"} for text in TEXTS]
    assert_same(ours(pairs), theirs(pairs))
    assert_same(ours(pairs[1], top_k=None), theirs(pairs[1], top_k=None))
    # Pairs and single texts may be mixed.
    assert_same(ours([pairs[1], TEXTS[1]]), [theirs(pairs[1]), theirs(TEXTS[1])[0]])
    assert_same(ours({"text": "a", "text_pair": None}), theirs("a")[0])


def test_settings_of_the_pipeline_are_those_of_a_call(folders):
    ours = pipeline("sentiment-analysis", folders["two"], top_k=None)
    assert [label["label"] for label in sorted(ours("a"), key=lambda label: label["label"])] == [
        "NEGATIVE",
        "POSITIVE",
    ]
    assert len(ours("a", top_k=1)) == 1
    assert len(ours("a")) == 2


def test_an_empty_text_is_a_text(folders):
    ours, theirs = both(folders["single"])
    assert_same(ours(["", " \t"]), theirs(["", " \t"]))


def test_a_long_text_is_cut_with_one_warning(folders):
    ours, _ = both(folders["single"])
    long = "a " * 70
    with pytest.warns(UserWarning, match="a text is longer than the 64 tokens"):
        assert_same(ours(long), ours("a " * 62))


def test_what_is_refused(folders):
    ours, _ = both(folders["single"])
    with pytest.raises(InputError, match="keys text and text_pair, not"):
        ours([{"text": "a", "pair": "b"}])
    with pytest.raises(TypeError, match="input 0: text_pair is 3, a int, not a string"):
        ours({"text": "a", "text_pair": 3})
    with pytest.raises(ValueError, match="function_to_apply='tanh' is none of"):
        ours("a", function_to_apply="tanh")
    for top_k in (-1, 1.5, "all", True):
        with pytest.raises(ValueError, match=f"top_k={top_k!r} is no whole number from 1 up"):
            ours("a", top_k=top_k)
