"""embed and search."""

import os

import numpy as np
import pytest

from minidistil.pipelines import pipeline
from tests.pipelines.checkpoints import TEXTS


@pytest.fixture
def model(models):
    return ("--model", models["base"])


def test_embed(shell, model):
    run = shell("embed", *model, stdin="\n".join([TEXTS[0], "", TEXTS[1]]))
    embed = pipeline("feature-extraction", model[1])
    assert [one["text"] for one in run.objects] == [TEXTS[0], "", TEXTS[1]]
    assert run.objects[1]["result"] is None
    for one in (run.objects[0], run.objects[2]):
        np.testing.assert_allclose(one["result"], embed(one["text"]), atol=1e-6)


def test_embed_into_a_file(shell, model, tmp_path):
    path = tmp_path / "new" / "vectors.npy"
    arguments = ("--pooling", "cls", "--no-normalize", "--output", path)
    run = shell("embed", *model, *arguments, stdin="\n".join([TEXTS[0], "", TEXTS[1]]))
    assert run.code == 0 and run.out == "" and "3 vectors of 48" in run.err
    vectors = np.load(path, allow_pickle=False)
    assert vectors.dtype == np.float32 and np.isnan(vectors[1]).all()
    embed = pipeline("feature-extraction", model[1], pooling="cls", normalize=False)
    np.testing.assert_allclose(vectors[[0, 2]], np.stack(embed(TEXTS[:2])), atol=1e-5)
    assert [item.name for item in path.parent.iterdir()] == ["vectors.npy"]


def test_a_failure_leaves_the_old_vectors(shell, model, tmp_path):
    path = tmp_path / "vectors.npy"
    path.write_bytes(b"old")
    run = shell("embed", *model, "--output", path, stdin=b"fine\n\xff\n")
    assert run.code == 1 and path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["vectors.npy"]


def test_the_name_of_the_file_does_not_matter(shell, model, tmp_path):
    path = tmp_path / "rows"
    assert shell("embed", *model, "--output", path, *TEXTS).code == 0
    assert np.load(path, allow_pickle=False).shape == (len(TEXTS), 48)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_only_files_are_replaced(shell, tmp_path, make):
    path = tmp_path / "target"
    make(path)
    before = path.stat()
    for arguments in (("embed", "--output", path, "a"), ("search", "--in", ".", "--index", path)):
        # Found before the model, which is not there either.
        run = shell(*arguments, "--model", tmp_path / "none")
        assert run.code == 2 and f"{path} is not a regular file" in run.err
        assert path.stat() == before


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("\n\n".join(TEXTS), encoding="utf-8")
    return path


def test_search(shell, model, book):
    run = shell("search", *model, "--in", book, "--top-k", "2", "--json", TEXTS[1], TEXTS[3])
    assert run.code == 0 and "5 passages, 0 of them known" in run.err
    for query, line, one in zip((TEXTS[1], TEXTS[3]), (3, 7), run.objects, strict=True):
        assert one["query"] == query and len(one["result"]) == 2
        best = one["result"][0]
        assert best["text"] == query and best["score"] == pytest.approx(1, abs=1e-5)
        assert (best["source"], best["line"]) == (str(book), line)


def test_search_shows_passages(shell, model, book):
    run = shell("search", *model, "--in", book, "--top-k", "1", stdin=f"{TEXTS[0]}\n\n{TEXTS[2]}\n")
    assert run.lines == [
        TEXTS[0],
        f"  1.000  {book}:1",
        f"         {TEXTS[0]}",
        "",
        TEXTS[2],
        f"  1.000  {book}:5",
        f"         {TEXTS[2]}",
    ]


def test_index(shell, model, models, book, tmp_path):
    arguments = ("--in", book, "--index", tmp_path / "index", "--json", "Ada")
    first = shell("search", *model, *arguments)
    assert "5 passages, 0 of them known from the index" in first.err
    second = shell("search", *model, *arguments)
    assert "5 passages, 5 of them known from the index" in second.err
    assert second.out == first.out
    with book.open("a", encoding="utf-8") as file:
        file.write("\n\nAda")
    third = shell("search", *model, *arguments)
    assert "6 passages, 5 of them known from the index" in third.err
    assert third.objects[0]["result"][0]["text"] == "Ada"
    other = shell("search", "--model", models["mlm"], *arguments)
    assert "made by another model, so it was rebuilt" in other.err
    assert "6 passages, 0 of them known from the index" in other.err


def test_nothing_to_search(shell, model, tmp_path):
    run = shell("search", *model, "--in", tmp_path / "none", "Ada")
    assert run.code == 2 and "does not exist" in run.err
    run = shell("search", *model, "--in", tmp_path, "Ada")
    assert run.code == 1 and "holds no file" in run.err


def test_the_help_says_when_the_index_is_written(shell):
    text = " ".join(shell("search", "--help").out.split())
    assert "those of this search, no others." in text
    assert "written once, when all of them are, or at Ctrl-C" in text
