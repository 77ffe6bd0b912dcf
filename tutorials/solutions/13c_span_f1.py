"""Entities found: precision, recall, F1.

Tags say B-PER where an entity of the kind PER begins, I-PER inside, O outside. To be right about
most tags is little, since most are O. So whole entities are counted: one is found only where its
kind, its first word and its last word are all right. Over all sentences together,

    precision = hits / entities given     recall = hits / right entities
    F1 = 2 * precision * recall / (precision + recall)

and where nothing would be divided by nothing, the score is 0.

Models give tags that break the rules, and these have a meaning, too: an I- that follows O, another
kind or nothing begins an entity, as B- does. That is seqeval's default mode.

Arguments: tags, the list of a sentence; right and given, lists of such lists. `entities` returns a
set of (kind, first word, last word), words counted from 0. Do not call seqeval.
Source: Tjong Kim Sang and De Meulder 2003, arXiv cs/0306050; minidistil/training/metrics.py.
"""


def entities(tags: list[str]) -> set[tuple[str, int, int]]:
    """Kind, first and last word of each entity of a sentence."""
    found: list[tuple[str, int, int]] = []
    before = "O"
    for place, tag in enumerate(tags):
        # answer
        kind = tag[2:]
        if tag != "O" and (tag.startswith("B-") or kind != before[2:]):
            found.append((kind, place, place))
        elif tag != "O":
            found[-1] = (kind, found[-1][1], place)
        before = tag
        # end
    return set(found)


def span_scores(right: list[list[str]], given: list[list[str]]) -> tuple[float, float, float]:
    """Precision, recall and F1 over all sentences."""
    hits = wanted = found = 0
    for right_tags, given_tags in zip(right, given, strict=True):
        # answer
        a, b = entities(right_tags), entities(given_tags)
        hits += len(a & b)
        wanted += len(a)
        found += len(b)
        # end
    # answer
    precision, recall = hits / max(found, 1), hits / max(wanted, 1)
    return precision, recall, 2 * hits / max(found + wanted, 1)
    # end
