"""The verb `distill prepare`, from files to a folder of token ids."""

import json
import shlex

import numpy as np
import pytest

from minidistil.distillation import TokenFile
from tests.pipelines.checkpoints import TEXTS

LINE = "The king of Páris loved the lovely song, didn't he?\n"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(LINE * 3 + "a\n" + "東 " * 20, encoding="utf-8")
    return path


def test_prepare(shell, models, tmp_path, text):
    arguments = ["--tokenizer", models["mlm"], "--output", tmp_path / "out"]
    run = shell("distill", "prepare", text, text, *arguments)
    assert run.code == 0 and run.err == ""
    data = TokenFile(tmp_path / "out")
    tokens = data.meta["tokens"]
    assert len(data) == 6 and tokens == sum(map(len, data))
    assert run.out == (
        f"{tmp_path / 'out'}: 6 sequences, {tokens} tokens; dropped 2 short, 2 unknown\n"
    )
    # Once more: nothing is left to do, and the answer is the same.
    assert shell("distill", "prepare", text, text, *arguments).out == run.out


def test_settings_and_json_lines(shell, models, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    arguments = ["--tokenizer", models["mlm"], "--output", tmp_path / "out", "--min-tokens", 3]
    arguments += ["--max-length", 8, "--max-unknown", 1]
    assert shell("distill", "prepare", path, *arguments).code == 0
    data = TokenFile(tmp_path / "out")
    assert data.lengths.max() == 8 and data.lengths.min() == 3
    assert np.isin([row[0] for row in data], data.meta["special_ids"]["cls"]).all()


def test_the_example_runs(shell, models, tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_bytes(text.read_bytes())
    example = shell("distill", "prepare", "--help").out.partition("Example:")[2]
    command = example.replace("distilbert-base-uncased", str(models["mlm"]))
    assert shell(*shlex.split(command)[1:]).code == 0
    assert len(TokenFile(tmp_path / "tokens")) == 3


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"king\n\xff\n", [], r"text.txt:2: 'utf-8' codec can't decode byte 0xff"),
        (b"", [], "text.txt is empty"),
        (b"king\n", [], "no sequence is left"),
        (LINE.encode(), ["--max-length", "5"], "max_length=5 is no whole number from 12 up"),
        (LINE.encode(), ["--tokenizer", "nowhere/"], "nowhere"),
        (LINE.encode(), ["--output", "text.txt"], "text.txt"),
        (LINE.encode(), ["--output", "."], "is not empty (text.txt): choose another folder"),
    ],
)
def test_errors_are_messages(shell, models, tmp_path, monkeypatch, content, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_bytes(content)
    arguments = ["text.txt", "--tokenizer", models["mlm"], "--output", "out", *options]
    run = shell("distill", "prepare", *arguments)
    assert run.code == 1 and run.out == ""
    assert run.err.startswith("Error: ") and message in run.err and run.err.count("\n") == 1


def test_bytes_replaced(shell, models, tmp_path):
    (tmp_path / "a").write_bytes(LINE.encode() + LINE.encode().replace(b"song", b"s\xffng"))
    arguments = ["--tokenizer", models["mlm"], "--output", tmp_path / "out", "--errors", "replace"]
    assert shell("distill", "prepare", tmp_path / "a", *arguments).code == 0
    assert len(TokenFile(tmp_path / "out")) == 2


def test_wrong_calls(shell):
    assert "Missing argument 'FILE...'" in shell("distill", "prepare").err
    for arguments in ([], ["frobnicate"]):
        run = shell("distill", *arguments)
        assert run.code == 2 and "Usage: minidistil distill" in run.err
