"""Laws of `entities(tags)` and `span_scores(right, given)`: whole entities or nothing."""

from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.learn.laws import Law

HINTS = [
    "tag[2:] is the kind, and of O it is empty: so after O every kind is another kind.",
    "A tag that is not O begins an entity if it is a B- or its kind is not that of the tag before.",
    "F1 is also 2 * hits / (found + wanted); max(..., 1) below keeps 0 / 0 away.",
]
WRONG = {
    "only B- begins an entity": ('(tag.startswith("B-") or kind != before[2:])', 'tag[0] == "B"'),
    "B- goes on with its neighbour": ('tag.startswith("B-") or ', ""),
    "an entity goes on in another kind": ("kind != before[2:]", 'before == "O"'),
    "an entity goes on behind O": ("before = tag", 'before = before if tag == "O" else tag'),
    "the last word need not be right": (
        "len(a & b)",
        "len({span[:2] for span in a} & {span[:2] for span in b})",
    ),
    "the kind need not be right": (
        "len(a & b)",
        "len({span[1:] for span in a} & {span[1:] for span in b})",
    ),
    "precision and recall change places": (
        "return precision, recall,",
        "return recall, precision,",
    ),
    "F1 is the plain mean": ("2 * hits / max(found + wanted, 1)", "(precision + recall) / 2"),
    "nothing found is divided by": ("hits / max(found, 1)", "hits / found"),
}


@dataclass(frozen=True)
class Sentence:
    """The tags of a sentence."""

    tags: tuple[str, ...] = ("B-PER", "I-PER")


@dataclass(frozen=True)
class Case:
    """Tags of sentences: what is right, and what a model gives."""

    right: tuple[tuple[str, ...], ...] = (("B-PER", "I-PER"),)
    given: tuple[tuple[str, ...], ...] = (("B-PER", "I-PER"),)


def _case(sentences):
    right = tuple(tuple(tag for tag, _ in sentence) for sentence in sentences)
    return Case(right, tuple(tuple(tag for _, tag in sentence) for sentence in sentences))


TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
SENTENCES = st.builds(Sentence, st.lists(TAG, max_size=6).map(tuple))
# A model is right about most words, as a rule.
WORD = st.one_of(TAG.map(lambda tag: (tag, tag)), st.tuples(TAG, TAG))
CASES = st.builds(_case, st.lists(st.lists(WORD, max_size=5), min_size=1, max_size=3))
HARD_SENTENCES = [
    Sentence(),
    Sentence(("O", "I-PER")),
    Sentence(("B-PER", "B-PER")),
    Sentence(("B-PER", "I-LOC")),
    Sentence(("I-LOC", "I-PER", "I-PER")),
    Sentence(("B-PER", "O", "I-PER")),
    Sentence(()),
]
HARD = [
    Case(),
    Case(given=(("B-PER", "O"),)),
    Case(given=(("B-LOC", "I-LOC"),)),
    Case((("B-PER", "O"),), (("B-PER", "B-LOC"),)),
    Case((("B-PER",), ("O", "B-LOC")), (("B-PER",), ("O", "B-PER"))),
    Case((("B-PER",),), (("O",),)),
    Case((("O",),), (("B-PER",),)),
    Case((("O",),), (("O",),)),
]


def _begins(tags, place):
    tag, before = tags[place], tags[place - 1] if place else "O"
    return tag[0] == "B" or (tag[0] == "I" and before not in ("B" + tag[1:], tag))


def _entities(tags):
    found = set()
    for first in range(len(tags)):
        if _begins(tags, first):
            last = first
            while last + 1 < len(tags) and tags[last + 1] == "I" + tags[first][1:]:
                last += 1
            found.add((tags[first][2:], first, last))
    return found


def spans(answer, case):
    """Entities begin at B-, and at an I- behind O or another kind, and go on as far as their I-."""
    got, want = answer.entities([*case.tags]), _entities(case.tags)
    assert got == want, f"they are {got}, wanted is {want}"


def scores(answer, case):
    """An entity counts only where its kind and both of its ends are right."""
    pairs = [(_entities(a), _entities(b)) for a, b in zip(case.right, case.given, strict=True)]
    hits = sum(span in a for a, b in pairs for span in b)
    wanted, found = sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs)
    precision = hits / found if found else 0.0
    recall = hits / wanted if wanted else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    got = answer.span_scores([[*tags] for tags in case.right], [[*tags] for tags in case.given])
    names = ["precision", "recall", "F1"]
    for name, one, want in zip(names, got, (precision, recall, f1), strict=True):
        assert abs(one - want) < 1e-9, f"{name} is {one:.6g}, wanted is {want:.6g}"


LAWS = [Law(spans, SENTENCES, HARD_SENTENCES), Law(scores, CASES, HARD)]
