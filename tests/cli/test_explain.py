"""The verb explain: a page for any checkpoint, by default for the student."""

import json

import pytest


def test_the_default_model(shell, tmp_path):
    path = tmp_path / "film.html"
    done = shell("explain", "What a lovely film!", "--output", path)
    assert done.code == 0 and done.out == f"{path}: open it in a browser\n"
    text = path.read_text(encoding="utf-8")
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert data["answer"]["names"][0] == "positive" and len(data["heads"]) == 3
    assert len(text.encode()) < 2e6


@pytest.mark.parametrize("name", ["mlm", "classifier", "tagger", "squad", "swag", "base"])
def test_any_checkpoint(shell, models, tmp_path, name):
    path = tmp_path / "x.html"
    done = shell("explain", "the king loved", "--model", models[name], "--output", path)
    assert done.code == 0, done.err
    assert path.stat().st_size > 10_000


def test_errors(shell, models, tmp_path):
    path = tmp_path / "x.html"
    done = shell("explain", "", "--model", models["mlm"], "--output", path)
    assert done.code == 1 and "has no token to look at" in done.err and not path.exists()
