"""Search: scores, and splitting of passages."""

import numpy as np
import pytest

from minidistil import DistilBertModel
from minidistil.pipelines import pipeline
from minidistil.pipelines.search import Passage, Search, split_passage
from tests.pipelines.checkpoints import TEXTS, save_checkpoint

PASSAGES = [Passage(text, "book", line) for line, text in enumerate(TEXTS, start=1)]


@pytest.fixture(scope="module")
def embed(tmp_path_factory):
    return pipeline(
        "feature-extraction", save_checkpoint(tmp_path_factory.mktemp("search"), DistilBertModel)
    )


def test_hits(embed):
    search = Search(embed, PASSAGES)
    query = embed("the king of Paris")
    scores = [float(vector @ query) for vector in embed(TEXTS)]
    hits = search("the king of Paris", top_k=3)
    assert [hit["score"] for hit in hits] == pytest.approx(sorted(scores, reverse=True)[:3])
    best = int(np.argmax(scores))
    assert hits[0]["text"] == TEXTS[best] and hits[0]["line"] == best + 1
    assert hits[0]["source"] == "book"
    assert len(search("a", top_k=100)) == len(TEXTS)
    own = search(TEXTS[1])[0]
    assert own["text"] == TEXTS[1] and own["score"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("limit", [7, 12, 64])
def test_long_passages_are_split_between_words(embed, limit):
    text = "\n".join(TEXTS * 3)
    pieces = split_passage(Passage(text, "book", 10), embed.tokenizer, limit)
    assert len(pieces) > 1
    assert "".join("".join(piece.text.split()) for piece in pieces) == "".join(text.split())
    lines = text.split("\n")
    for piece in pieces:
        assert piece.text.split("\n")[0] in lines[piece.line - 10]
        length = len(embed.tokenizer(piece.text)["input_ids"])
        assert length <= limit
    lengths = [len(embed.tokenizer(piece.text)["input_ids"]) for piece in pieces]
    assert (
        sum(lengths) - 2 * len(lengths)
        == len(embed.tokenizer(text, max_length=999)["input_ids"]) - 2
    )


def test_short_and_empty_passages(embed):
    assert split_passage(PASSAGES[0], embed.tokenizer, 64) == [PASSAGES[0]]
    assert split_passage(Passage(" \n"), embed.tokenizer, 64) == []
    with pytest.raises(ValueError, match="no passages to search"):
        Search(embed, [Passage("\u200b")])


def test_vectors_without_a_cosine(embed):
    for pooling, normalize in ((None, True), ("mean", False)):
        odd = pipeline(
            "feature-extraction",
            embed.model,
            embed.tokenizer,
            pooling=pooling,
            normalize=normalize,
        )
        with pytest.raises(ValueError, match="search needs pooled vectors of length 1"):
            Search(odd, PASSAGES)
