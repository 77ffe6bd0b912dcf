"""Token classification: named entities and the like, token by token or grouped into phrases.

    tokens -> scores -> [one label a word] -> [one entity a phrase] -> [windows merged]

Results and settings are those of transformers' pipeline of the same name. A word is what the
tokenizer says it is; transformers guesses from lengths, which fails where normalisation changes
them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, TypedDict

import torch
from tokenizers import Encoding, decoders
from torch import Tensor

from minidistil.heads import DistilBertForTokenClassification
from minidistil.pipelines.base import Pipeline, output_of, text_of

STRATEGIES = ("none", "simple", "first", "average", "max")
PIECES = decoders.WordPiece(prefix="##")


class Entity(TypedDict, total=False):
    """A token with its label, or a phrase with the kind of entity it is.

    Attributes:
        entity: Label of a token, without aggregation.
        entity_group: Kind of a phrase, with aggregation: its labels without B- and I-.
        score: Probability; of a phrase the mean of its tokens' or words'.
        index: Place of a token in its row, without aggregation.
        word: The tokens as text; `text[start:end]` is what was written.
        start: First character.
        end: The character after the last.
    """

    entity: str
    entity_group: str
    score: float
    index: int
    word: str
    start: int
    end: int


class Piece(NamedTuple):
    """A token, or a word put together from its tokens.

    Attributes:
        word: Its text, with ## in front of what continues a word.
        scores: Probability of each label, (num_labels,).
        start: First character.
        end: The character after the last.
        place: In the row; of a word that of its first token.
        number: The number of the word it belongs to.
    """

    word: str
    scores: Tensor
    start: int
    end: int
    place: int
    number: int


@dataclass(frozen=True)
class TokenClassificationSettings:
    """Settings of `TokenClassification`.

    Attributes:
        aggregation_strategy: "none" gives tokens; "simple" joins neighbours with the same label
            into phrases; the others first settle on one label a word, which "first" takes from its
            first token, "max" from its surest and "average" from the mean of its tokens' scores.
        ignore_labels: Labels, or kinds of entity, that are left out.
        stride: Read a long text in windows that repeat so many tokens; where None it is cut.
    """

    aggregation_strategy: str = "none"
    ignore_labels: Sequence[str] = field(default=("O",))
    stride: int | None = None

    def __post_init__(self) -> None:
        if self.aggregation_strategy not in STRATEGIES:
            raise ValueError(
                f"aggregation_strategy={self.aggregation_strategy!r} is none of {STRATEGIES}"
            )
        if isinstance(self.ignore_labels, str):
            raise ValueError(
                f"ignore_labels={self.ignore_labels!r} is one string: give a list of labels"
            )
        if self.stride is not None and self.aggregation_strategy == "none":
            raise ValueError(
                f"stride={self.stride} needs an aggregation_strategy other than 'none': "
                "where windows overlap, entities are merged"
            )


class TokenClassification(Pipeline[str]):
    """Label the tokens of a text: a list of `Entity`, in the order of the text."""

    model_class = DistilBertForTokenClassification
    settings_class = TokenClassificationSettings

    def read(self, item: object) -> str:
        """Check a text."""
        return text_of(item)

    def encode(self, item: str, settings: TokenClassificationSettings) -> list[Encoding]:
        """One row, or one a window where there is a stride."""
        if settings.stride is None:
            return [self.tokenize(item)]
        return self.tokenizer(
            item,
            truncation=True,
            max_length=self.max_length,
            stride=settings.stride,
            return_overflowing_tokens=True,
        ).encodings

    def predict(
        self, input_ids: Tensor, attention_mask: Tensor, settings: TokenClassificationSettings
    ) -> Iterable[Tensor]:
        """Logits, (S, num_labels) a row."""
        return output_of(self.model, input_ids, attention_mask).logits

    def decode(
        self,
        item: str,
        rows: list[Encoding],
        outputs: list[Tensor],
        settings: TokenClassificationSettings,
    ) -> list[Entity]:
        """Entities of all windows."""
        strategy, ignored = settings.aggregation_strategy, settings.ignore_labels
        entities: list[Entity] = []
        for row, logits in zip(rows, outputs, strict=True):
            pieces = list(self._pieces(item, row, logits.softmax(-1)))
            if strategy == "none":
                found = [self._token(piece) for piece in pieces]
            else:
                if strategy != "simple":
                    words = groupby(pieces, key=lambda piece: piece.number)
                    pieces = [_word(list(tokens), strategy) for _, tokens in words]
                found = self._phrases(pieces)
            entities += [
                entity
                for entity in found
                if entity.get("entity", entity.get("entity_group")) not in ignored
            ]
        return _merged(entities) if len(rows) > 1 else entities

    def _pieces(self, text: str, row: Encoding, scores: Tensor) -> Iterator[Piece]:
        for index, number in enumerate(row.word_ids):
            if number is not None:
                start, end = row.offsets[index]
                unknown = row.ids[index] == self.tokenizer.unk_token_id
                word = text[start:end] if unknown else row.tokens[index]
                yield Piece(word, scores[index], start, end, index, number)

    def _label(self, piece: Piece) -> tuple[str, float]:
        best = int(piece.scores.argmax())
        return self.model.config.id2label[best], float(piece.scores[best])

    def _token(self, piece: Piece) -> Entity:
        label, score = self._label(piece)
        return {
            "entity": label,
            "score": score,
            "index": piece.place,
            "word": piece.word,
            "start": piece.start,
            "end": piece.end,
        }

    def _phrases(self, pieces: list[Piece]) -> list[Entity]:
        """Join neighbours with the same kind of label; a B- starts a new phrase."""
        phrases: list[list[tuple[Piece, float]]] = []
        kinds: list[str] = []
        for piece in pieces:
            label, score = self._label(piece)
            kind = label[2:] if label.startswith(("B-", "I-")) else label
            if not kinds or kinds[-1] != kind or label.startswith("B-"):
                phrases.append([])
                kinds.append(kind)
            phrases[-1].append((piece, score))
        return [
            {
                "entity_group": kind,
                "score": sum(score for _, score in phrase) / len(phrase),
                "word": PIECES.decode([piece.word for piece, _ in phrase]),
                "start": phrase[0][0].start,
                "end": phrase[-1][0].end,
            }
            for kind, phrase in zip(kinds, phrases, strict=True)
        ]


def _word(tokens: list[Piece], strategy: str) -> Piece:
    """One piece of the tokens of a word, with the scores that the strategy gives it."""
    scores = {
        "first": lambda: tokens[0].scores,
        "max": lambda: max(tokens, key=lambda token: float(token.scores.max())).scores,
        "average": lambda: torch.stack([token.scores for token in tokens]).mean(0),
    }[strategy]()
    word = PIECES.decode([token.word for token in tokens])
    return tokens[0]._replace(word=word, scores=scores, end=tokens[-1].end)


def _merged(entities: list[Any]) -> list[Any]:
    """Of entities that overlap keep the longer one, of two as long the surer one."""
    kept: list[Any] = []
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        if kept and entity["start"] < kept[-1]["end"]:
            kept[-1] = max(
                kept[-1], entity, key=lambda one: (one["end"] - one["start"], one["score"])
            )
        else:
            kept.append(entity)
    return kept
