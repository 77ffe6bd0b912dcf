"""Records: what a data set says, one small frozen object an example, and the labels in them.

    file --readers.py--> records --examples.py--> token ids and labels

Data of your own that is in no file becomes records by calling these classes.

Not here: files (`readers.py`), token ids (`examples.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextRecord:
    """A text to classify, or a pair.

    Attributes:
        text: The text.
        text_pair: The second text of a pair.
        label: A name, a number (regression), names (several labels), or None: unlabelled.
        place: Where it stands, for messages.
    """

    text: str
    text_pair: str | None = None
    label: str | float | tuple[str, ...] | None = None
    place: str = "a record"


@dataclass(frozen=True)
class TagRecord:
    """A sentence in words.

    Attributes:
        words: The words.
        tags: A tag for each word, O, B-kind or I-kind, or None: unlabelled.
        place: Where it stands, for messages.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    place: str = "a record"


@dataclass(frozen=True)
class QuestionRecord:
    """A question about a context; without answers, and not impossible either, it is unlabelled.

    Attributes:
        id: Its name; no two are alike.
        question: The question.
        context: The text to search.
        answers: Right answers, each with its first character in the context.
        impossible: The context holds no answer.
        place: Where it stands, for messages.
    """

    id: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...] = ()
    impossible: bool = False
    place: str = "a record"


@dataclass(frozen=True)
class ChoiceRecord:
    """A prompt and texts that may follow it.

    Attributes:
        prompt: The prompt.
        choices: The texts.
        label: The number of the right one, from 0, or None: unlabelled.
        place: Where it stands, for messages.
    """

    prompt: str
    choices: tuple[str, ...]
    label: int | None = None
    place: str = "a record"


Record = TextRecord | TagRecord | QuestionRecord | ChoiceRecord


def is_labelled(record: Record) -> bool:
    """Whether a record says what is right."""
    if isinstance(record, TagRecord):
        return record.tags is not None
    if isinstance(record, QuestionRecord):
        return record.impossible or bool(record.answers)
    return record.label is not None


def label_map(records: Sequence[Record], known: Mapping[int, str] | None = None) -> dict[int, str]:
    """The labels of records by id, as in `config.id2label`.

    Args:
        records: With names for labels; records without a label are passed over.
        known: A map that must hold them all. None makes one, which does not depend on the order of
            the records: sorted, and by value where all labels are whole numbers.

    Raises:
        ValueError: A label is not in `known`; there is none to make a map of; labels are numbers,
            as in regression, which has no map.
    """
    places: dict[str, str] = {}
    for record in records:
        labels = record.tags if isinstance(record, TagRecord) else getattr(record, "label", None)
        if isinstance(labels, int | float):
            raise ValueError(
                f"{record.place}: the label {labels} is a number; regression has no map"
            )
        for label in (labels,) if isinstance(labels, str) else labels or ():
            places.setdefault(label, record.place)
    if known is None:
        if not places:
            raise ValueError("no record has a label to make a label map of")
        numbers = all(label.isdecimal() for label in places)
        return dict(enumerate(sorted(places, key=lambda name: (int(name) if numbers else 0, name))))
    for label, place in places.items():
        if label not in known.values():
            raise ValueError(
                f"{place}: label {label!r} is not in the label map, which has {[*known.values()]}"
            )
    return dict(known)
