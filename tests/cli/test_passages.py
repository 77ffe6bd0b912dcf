"""Passages out of files and folders."""

import os

import pytest

from minidistil.cli.passages import read_passages
from minidistil.pipelines.search import Passage


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_text("\none\ntwo\n  \n\nthree", encoding="utf-8")
    (tmp_path / "b" / "c.md").write_text("# four\n", encoding="utf-8")
    (tmp_path / "b" / "d.jsonl").write_text('{"text": "fünf\\nsix"}\n\n{"text": "7"}\n', "utf-8")
    (tmp_path / "b" / "e.png").write_bytes(b"\x89PNG")
    return tmp_path


def test_paragraphs(folder):
    first, last = str(folder / "a.txt"), str(folder / "b" / "d.jsonl")
    assert list(read_passages((folder,), "paragraphs", "strict")) == [
        Passage("one\ntwo", first, 2),
        Passage("three", first, 6),
        Passage("# four", str(folder / "b" / "c.md"), 1),
        Passage("fünf\nsix", last, 1),
        Passage("7", last, 3),
    ]


def test_what_only_looks_like_a_text_file_is_passed_over(folder):
    want = list(read_passages((folder,), "paragraphs", "strict"))
    (folder / "b" / "folder.txt").mkdir()
    (folder / "b" / "dead.txt").symlink_to(folder / "gone")
    (folder / "b" / "loop.txt").symlink_to(folder / "b" / "loop.txt")
    (folder / "b" / "up.txt").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "b" / "pipe.txt")
    assert list(read_passages((folder,), "paragraphs", "strict")) == want


def test_lines(folder):
    passages = list(read_passages((folder / "a.txt",), "lines", "strict"))
    assert [(passage.text, passage.line) for passage in passages] == [
        ("one", 2),
        ("two", 3),
        ("three", 6),
    ]


def test_a_file_is_read_whatever_it_is_called(tmp_path):
    path = tmp_path / "README"
    path.write_bytes(b"text\xff")
    with pytest.raises(ValueError, match=r"README:1: byte 5"):
        list(read_passages((path,), "lines", "strict"))
    assert [passage.text for passage in read_passages((path,), "lines", "replace")] == [
        "text\ufffd"
    ]


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no file that ends in .txt, .md, .rst, .jsonl"):
        list(read_passages((tmp_path,), "lines", "strict"))
    path = tmp_path / "a.jsonl"
    for content, message in (
        ('{"text"', "not JSON"),
        ("[" * 200_000, "nested too deeply"),
        ('{"text": 1}', 'an object with a "text"'),
        (r'{"text": "\ud800"}', "a text holds the lone surrogate"),
    ):
        path.write_text(f"\n{content}\n", encoding="utf-8")
        with pytest.raises(ValueError, match=f"a.jsonl:2: .*{message}"):
            list(read_passages((path,), "lines", "strict"))
