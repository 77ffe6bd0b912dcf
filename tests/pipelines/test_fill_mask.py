"""Fill-mask against transformers' pipeline, and what it refuses."""

import pytest
import transformers

from minidistil import DistilBertForMaskedLM
from minidistil.pipelines import InputError, pipeline
from minidistil.tokenization import DistilBertTokenizer
from tests.pipelines.checkpoints import VOCAB, assert_same, save_checkpoint

TEXTS = [
    "Ada [MASK] in Páris.",
    "[MASK]",
    "the king of [MASK] was born [MASK] a lovely   song, didn't he?",
    "Is 東 a [MASK]?",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("fill-mask"), DistilBertForMaskedLM)


@pytest.fixture(scope="module")
def theirs(folder):
    return transformers.pipeline("fill-mask", str(folder), device="cpu")


@pytest.fixture(scope="module")
def ours(folder):
    return pipeline("fill-mask", folder)


@pytest.mark.parametrize("settings", [{}, {"top_k": 1}, {"top_k": 20}], ids=str)
def test_guesses(ours, theirs, settings):
    assert_same(ours(TEXTS, **settings), theirs(TEXTS, **settings))
    for text in TEXTS:
        assert_same(ours(text, **settings), theirs(text, **settings))


def test_rows_of_the_embedding_without_a_token_are_no_guess(folder):
    fields = {"vocab_size": len(VOCAB) + 3, "ignore_mismatched_sizes": True}
    with pytest.warns(UserWarning, match="new weights"):
        model = DistilBertForMaskedLM.from_pretrained(folder, **fields)
    tokenizer = DistilBertTokenizer.from_pretrained(folder)
    fills = pipeline("fill-mask", model, tokenizer)("[MASK]", top_k=10_000)
    assert {fill["token"] for fill in fills} == set(range(len(VOCAB)))
    assert sum(fill["score"] for fill in fills) < 1


@pytest.mark.filterwarnings("ignore:the target 'Paris'")
def test_targets(ours, theirs):
    targets = ["king", "the", "paris", "king", "Paris"]
    assert_same(ours(TEXTS, targets=targets), theirs(TEXTS, targets=targets))
    assert [fill["token_str"] for fill in ours("[MASK]", targets="king")] == ["king"]


def test_scores_with_targets_are_those_among_all_tokens(ours):
    every = {fill["token"]: fill["score"] for fill in ours(TEXTS[0], top_k=10_000)}
    assert sum(every.values()) == pytest.approx(1, abs=1e-5)
    for fill in ours(TEXTS[0], targets=["king", "love"]):
        assert fill["score"] == pytest.approx(every[fill["token"]])


def test_a_target_of_several_tokens_is_named(ours):
    with pytest.warns(UserWarning, match="'kings' is not one token: 'king' stands for it"):
        assert [fill["token_str"] for fill in ours("[MASK]", targets="kings")] == ["king"]


def test_a_text_without_mask(ours):
    with pytest.raises(InputError, match=r"input 1: the text has no \[MASK\]: 'no mask'"):
        ours(["a [MASK]", "no mask"])
    with pytest.raises(InputError, match=r"has no \[MASK\]: ''"):
        ours("")


def test_a_mask_that_was_cut_off(ours):
    with (
        pytest.warns(UserWarning, match="longer than the 64 tokens"),
        pytest.raises(InputError, match=r"no \[MASK\] in its first 64 tokens"),
    ):
        ours("a " * 70 + "[MASK]")


def test_settings(ours):
    for top_k in (0, 1.5, "a", True):
        with pytest.raises(ValueError, match=f"top_k={top_k!r} is no whole number from 1 up"):
            ours("[MASK]", top_k=top_k)
    with pytest.raises(ValueError, match="holds no word that the tokenizer knows"):
        ours("[MASK]", targets=[" "])
