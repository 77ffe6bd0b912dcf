"""The label map: what is in it, in which order, and what is not."""

import random

import pytest

from minidistil.training.records import QuestionRecord, TagRecord, TextRecord, label_map


def texts(*labels):
    return [TextRecord("a", None, label, f"f:{n}") for n, label in enumerate(labels, start=1)]


def test_it_is_sorted():
    assert label_map(texts("pos", "neg", None, "pos")) == {0: "neg", 1: "pos"}
    assert label_map(texts(("b", "a"), (), ("c",))) == {0: "a", 1: "b", 2: "c"}
    assert label_map([TagRecord(("x", "y"), ("O", "B-x")), TagRecord(("z",))]) == {0: "B-x", 1: "O"}


def test_numbers_are_sorted_by_value():
    assert label_map(texts("10", "9", "0")) == {0: "0", 1: "9", 2: "10"}
    assert label_map(texts("10", "9", "x")) == {0: "10", 1: "9", 2: "x"}


def test_it_does_not_depend_on_the_order_of_records():
    records = texts("1", "01", "10", "2", "002", "3")
    first = label_map(records)
    for seed in range(5):
        assert label_map(random.Random(seed).sample(records, len(records))) == first


def test_a_known_map_is_kept():
    known = {0: "pos", 1: "neg", 2: "mixed"}
    assert label_map(texts("neg", None), known) == known
    assert label_map(texts(None), known) == known
    with pytest.raises(ValueError, match=r"f:2: label 'bad' is not in the label map, .*'mixed'\]"):
        label_map(texts("neg", "bad"), known)


def test_what_has_no_map():
    with pytest.raises(ValueError, match="no record has a label"):
        label_map(texts(None, ()))
    with pytest.raises(ValueError, match="no record has a label"):
        label_map([QuestionRecord("q", "a", "b")])
    with pytest.raises(ValueError, match=r"f:1: the label 0\.5 is a number; regression has no map"):
        label_map(texts(0.5))
