"""The verb `distill run`: a student on disk, ready for the other verbs; wrong calls."""

import json

import pytest

from minidistil import DistilBertForMaskedLM
from minidistil.training.log import read_log

LINE = "The king of Páris loved the lovely song, didn't he?\n"


@pytest.fixture
def tokens(shell, models, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(LINE * 6, encoding="utf-8")
    folder = tmp_path / "tokens"
    arguments = ["--tokenizer", models["mlm"], "--output", folder]
    assert shell("distill", "prepare", text, *arguments).code == 0
    return folder


def test_a_corpus_of_another_vocabulary_is_refused(shell, models, tokens, tmp_path):
    meta = json.loads((tokens / "meta.json").read_text())
    (tokens / "meta.json").write_text(json.dumps(meta | {"vocabulary": "another"}))
    run = shell("distill", "run", tokens, "--teacher", models["mlm"], "--output", tmp_path / "s")
    assert run.code == 2 and "was made with another vocabulary" in run.err
    assert not (tmp_path / "s").exists()


def test_run(shell, models, tokens, tmp_path):
    folder = tmp_path / "student"
    arguments = ["--teacher", models["mlm"], "--output", folder, "--layers", "1"]
    arguments += ["--epochs", 2, "--tokens-per-batch", 64, "--mse", 1, "--log-every", 1]
    run = shell("distill", "run", tokens, *arguments)
    assert run.code == 0 and run.out == f"{folder}: a student of 6 sequences\n"
    assert DistilBertForMaskedLM.from_pretrained(folder).config.n_layers == 1
    assert {"ce", "mlm", "cos", "mse"} <= read_log(folder / "log.jsonl")[0].keys()
    assert "</svg>" in (folder / "curves.svg").read_text(encoding="utf-8")
    # It is a checkpoint with its tokenizer, and the run is done.
    assert shell("fill-mask", "--model", folder, "the [MASK] song").code == 0
    assert shell("distill", "run", tokens, *arguments).code == 0


def test_an_encoder_teaches_its_hidden_states(shell, models, tokens, tmp_path):
    arguments = ["--teacher", models["base"], "--output", tmp_path / "s", "--layers", "0"]
    run = shell("distill", "run", tokens, *arguments)
    assert run.code == 1 and "has no masked-LM head" in run.err
    arguments += ["--ce", 0, "--mlm", 0, "--epochs", 1]
    assert shell("distill", "run", tokens, *arguments).code == 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--layers", "0;2"], 2, "--layers is '0;2', expected such as 0,2,4"),
        (["--layers", "9"], 1, "layer 9 of a teacher that has layers 0 to 1"),
        (["--ce", -1], 1, "the weight of ce is -1.0"),
        (["--device", "cuda:7"], 1, "the device 'cuda:7' can't be used"),
        (["--attn", "fast"], 1, "unknown attention implementation 'fast'"),
        (["--log-every", 0], 2, "0 is not in the range x>=1"),
        (["--checkpoint-every", 0], 2, "0 is not in the range x>=1"),
        (["--tokens-per-batch", 4], 1, "tokens_per_batch=4"),
        (["--teacher", "nowhere/"], 1, "nowhere"),
    ],
)
def test_errors(shell, models, tokens, tmp_path, options, code, message):
    folder = tmp_path / "student"
    arguments = ["--teacher", models["mlm"], "--output", folder, "--layers", "1", *options]
    run = shell("distill", "run", tokens, *arguments)
    assert (run.code, run.out) == (code, "") and message in run.err
    assert not folder.exists()


def test_data_that_is_none(shell, models, tmp_path):
    run = shell("distill", "run", tmp_path, "--teacher", models["mlm"], "--output", tmp_path / "s")
    assert run.code == 1 and "no finished token file" in run.err
