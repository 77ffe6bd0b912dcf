"""Token classification against transformers' pipeline, windows included."""

import pytest
import transformers

from minidistil import DistilBertForTokenClassification
from minidistil.pipelines import pipeline
from minidistil.pipelines.token_classification import STRATEGIES
from tests.pipelines.checkpoints import TEXTS, assert_same, save_checkpoint

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
LONG = " ".join(TEXTS * 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_checkpoint(
        tmp_path_factory.mktemp("token-classification"),
        DistilBertForTokenClassification,
        id2label=dict(enumerate(LABELS)),
    )


@pytest.fixture(scope="module")
def theirs(folder):
    return transformers.pipeline("token-classification", str(folder), device="cpu")


@pytest.fixture(scope="module")
def ours(folder):
    return pipeline("ner", folder)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("ignored", [["O"], [], ["PER", "B-PER"]], ids=str)
def test_entities(ours, theirs, strategy, ignored):
    settings = {"aggregation_strategy": strategy, "ignore_labels": ignored}
    got, want = ours(TEXTS, **settings), theirs(TEXTS, **settings)
    assert sum(map(len, want)) > len(TEXTS)
    assert_same(got, want)


@pytest.mark.parametrize("strategy", STRATEGIES[1:])
@pytest.mark.parametrize("stride", [0, 5, 17])
def test_windows(ours, theirs, strategy, stride):
    settings = {"aggregation_strategy": strategy, "stride": stride}
    assert max(entity["end"] for entity in ours(LONG, **settings)) > len(LONG) - 50
    assert_same(ours(LONG, **settings), theirs(LONG, **settings))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_offsets_are_those_of_the_text(ours, strategy):
    for text in TEXTS:
        for entity in ours(text, aggregation_strategy=strategy, ignore_labels=[]):
            written = text[entity["start"] : entity["end"]]
            assert written == written.strip() != ""


def test_a_word_whose_length_normalisation_changes(ours):
    # i with a combining mark: three characters are written, two are left in the token.
    text = "pari\u0301s a"
    words = ours(text, aggregation_strategy="first", ignore_labels=[])
    assert "".join(text[word["start"] : word["end"]] for word in words).replace(" ", "") == (
        text.replace(" ", "")
    )


def test_nothing_to_label(ours):
    assert ours(["", " \n"]) == [[], []]


def test_settings(ours):
    with pytest.raises(ValueError, match="aggregation_strategy='last' is none of"):
        ours("a", aggregation_strategy="last")
    with pytest.raises(ValueError, match="stride=3 needs an aggregation_strategy other than"):
        ours("a", stride=3)
    with pytest.raises(ValueError, match="ignore_labels='I-LOC,O' is one string: give a list"):
        ours("a", ignore_labels="I-LOC,O")
