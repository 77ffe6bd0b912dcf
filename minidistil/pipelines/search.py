"""Semantic search: which passages mean what a query means?

    passages --split to the model's length--> texts --embed once--> vectors
    query --embed--> vector --cosine with every passage--> the nearest passages

Not here: reading passages from files (`cli/passages.py`), keeping vectors on disk (`index.py`).
"""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np

from minidistil.pipelines.feature_extraction import FeatureExtraction
from minidistil.pipelines.index import VectorIndex
from minidistil.tokenization import DistilBertTokenizer


class Passage(NamedTuple):
    """A piece of text and where it stands.

    Attributes:
        text: The passage.
        source: What it is from, such as a file.
        line: Its first line there, from 1.
    """

    text: str
    source: str = ""
    line: int = 1


class Hit(TypedDict):
    """A passage that was found; score is the cosine similarity, from -1 to 1."""

    score: float
    source: str
    line: int
    text: str


class Search:
    """Search in passages.

    Args:
        embed: Makes the vectors; its pooling should be the one the model was trained with.
        passages: What to search; those longer than the model are split between words.
        index: Vectors already known; new ones are added to it, and it is saved.

    Attributes:
        passages: The passages after splitting.
        embedded: How many of them were not in the index.

    Raises:
        ValueError: There is no passage, or `embed` makes vectors that have no cosine.
    """

    def __init__(
        self,
        embed: FeatureExtraction,
        passages: Sequence[Passage],
        index: VectorIndex | None = None,
    ) -> None:
        if embed.settings.pooling is None or not embed.settings.normalize:
            raise ValueError(f"search needs pooled vectors of length 1, not {embed.settings}")
        self.embed = embed
        self.passages = [
            piece
            for passage in passages
            for piece in split_passage(passage, embed.tokenizer, embed.max_length)
        ]
        if not self.passages:
            raise ValueError("there are no passages to search")
        index = VectorIndex() if index is None else index
        texts = [passage.text for passage in self.passages]
        self.vectors, self.embedded = index.vectors_of(texts, embed)

    def __call__(self, query: str, top_k: int = 5) -> list[Hit]:
        """The `top_k` passages nearest to a query, best first."""
        scores = self.vectors @ self.embed(query)
        best = np.argsort(-scores, kind="stable")[:top_k]
        return [
            {
                "score": float(scores[i]),
                "source": self.passages[i].source,
                "line": self.passages[i].line,
                "text": self.passages[i].text,
            }
            for i in best
        ]


def split_passage(
    passage: Passage, tokenizer: DistilBertTokenizer, max_length: int
) -> list[Passage]:
    """Cut a passage into pieces of about the same length that a model can take.

    Args:
        passage: Any length.
        tokenizer: Counts the tokens.
        max_length: Most tokens of a piece, [CLS] and [SEP] included.

    Returns:
        The passage itself, or its pieces, cut between words; only a word that is longer than
        `max_length` is cut itself. Without a word in it, nothing.
    """
    text = passage.text
    row = tokenizer(text, add_special_tokens=False, truncation=False, max_length=max_length)
    words, offsets = row.word_ids(), row.encodings[0].offsets
    room = max_length - tokenizer.num_special_tokens_to_add()
    if len(words) <= room:
        return [passage] if words else []
    room = _per_part(len(words), parts=_per_part(len(words), room))
    pieces = []
    first = 0
    while first < len(words):
        last = min(first + room, len(words))
        between = last
        while between > first and between < len(words) and words[between] == words[between - 1]:
            between -= 1
        last = between if between > first else last
        start, end = offsets[first][0], offsets[last - 1][1]
        line = passage.line + text.count("\n", 0, start)
        pieces.append(Passage(text[start:end], passage.source, line))
        first = last
    return pieces


def _per_part(total: int, parts: int) -> int:
    return -(-total // parts)  # rounded up
