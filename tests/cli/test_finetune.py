"""The verbs `finetune` and `evaluate`: from a CSV to a model that the other verbs use."""

import json

import pytest

from minidistil import DistilBertForTokenClassification, DistilBertTokenizer
from minidistil.training.log import read_log

TABLE = "text,label\n" + "the king loved a song,fan\nnumbers in a letter,clerk\n" * 6


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_from_a_table_to_a_classifier(shell, models, table, tmp_path):
    folder = tmp_path / "mine"
    arguments = ["--model", models["base"], "--train", table, "--eval", table, "--output", folder]
    run = shell("finetune", *arguments, "--epochs", 12, "--learning-rate", 0.003, "--patience", 12)
    assert run.code == 0
    lines = run.out.splitlines()
    assert len(lines) == 13 and lines[0].startswith("epoch 1  accuracy ")
    assert lines[-1] == f"{folder}: trained on 12 records"
    best = max(line["accuracy"] for line in read_log(folder / "scores.jsonl"))
    assert best == 1
    run = shell("evaluate", table, "--model", folder, "--json")
    assert run.code == 0 and json.loads(run.out)["accuracy"] == 1
    run = shell("classify", "--model", folder, "the king loved a song")
    assert run.code == 0 and run.out.startswith("fan ")


def test_a_teacher_and_unlabelled_texts(shell, models, table, tmp_path):
    teacher, texts = tmp_path / "teacher", tmp_path / "more.txt"
    texts.write_text("a lovely song\na letter\n", encoding="utf-8")
    data = ["--train", table, "--epochs", 1]
    assert shell("finetune", "--model", models["base"], *data, "--output", teacher).code == 0
    options = ["--teacher", teacher, "--unlabelled", texts, "--temperature", 3]
    run = shell("finetune", "--model", models["base"], *data, "--output", tmp_path / "s", *options)
    assert run.code == 0 and run.out.endswith("trained on 14 records\n")


def test_a_teacher_of_another_vocabulary_is_refused(shell, models, table, tmp_path):
    """It would read other words from the student's ids."""
    teacher = tmp_path / "teacher"
    data = ["--train", table, "--epochs", 1]
    assert shell("finetune", "--model", models["base"], *data, "--output", teacher).code == 0
    tokenizer = DistilBertTokenizer.from_pretrained(teacher)
    ids = tokenizer.get_vocab()
    first, second = [word for word in ids if word.isalpha()][:2]
    ids[first], ids[second] = ids[second], ids[first]
    DistilBertTokenizer(ids).save_pretrained(teacher)
    run = shell("finetune", "--model", models["base"], *data, "--output", tmp_path / "s",
                "--teacher", teacher)  # fmt: skip
    assert run.code == 2 and "has another vocabulary than" in run.err
    assert not (tmp_path / "s").exists()


def test_columns_and_numbers(shell, models, tmp_path):
    path = tmp_path / "stars.tsv"
    path.write_text("review\tstars\nthe king\t4.5\na letter\t1\n", encoding="utf-8")
    arguments = ["--model", models["base"], "--train", path, "--output", tmp_path / "mine"]
    arguments += ["--labels", "regression", "--epochs", 1]
    run = shell("finetune", *arguments, "--column", "text=review", "--column", "label=stars")
    assert run.code == 0
    run = shell("evaluate", path, "--model", tmp_path / "mine", "--column", "text=review",
                "--column", "label=stars", "--json")  # fmt: skip
    assert run.code == 0 and "mse" in json.loads(run.out)


def test_tags(shell, models, tmp_path):
    path, folder = tmp_path / "train.conll", tmp_path / "mine"
    path.write_text("Ada B-PER\nloved O\n\nthe O\nking B-PER\n", encoding="utf-8")
    arguments = ["--task", "token-classification", "--train", path, "--output", folder]
    assert shell("finetune", "--model", models["base"], *arguments, "--epochs", 1).code == 0
    loaded = DistilBertForTokenClassification.from_pretrained(folder)
    assert loaded.config.id2label == {0: "B-PER", 1: "O"}
    run = shell("evaluate", path, "--task", "token-classification", "--model", folder)
    assert run.code == 0 and run.out.startswith("precision ")


def test_a_checkpoint_that_knows_the_labels_keeps_its_head(shell, models, tmp_path):
    path = tmp_path / "train.conll"
    path.write_text("Ada B-PER\nloved O\n", encoding="utf-8")
    arguments = ["--task", "token-classification", "--train", path, "--output", tmp_path / "mine"]
    assert shell("finetune", "--model", models["tagger"], *arguments, "--epochs", 1).code == 0
    loaded = DistilBertForTokenClassification.from_pretrained(tmp_path / "mine")
    assert loaded.config.id2label == {0: "O", 1: "B-PER", 2: "I-PER"}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--column", "label"], 2, "--column is 'label', expected OURS=THEIRS"),
        (["--column", "label=stars"], 1, "train.csv:2: no 'stars' among ['text', 'label']"),
        (["--unlabelled", "x.txt"], 2, "--unlabelled needs a --teacher"),
        (["--temperature", 3], 2, "--temperature needs a --teacher"),
        (["--labels", "multi", "--task", "token-classification"], 2, "--labels multi is for texts"),
        (["--column", "text_par=text"], 1, "columns has 'text_par'; the fields of text-classif"),
        (["--max-length", 513], 1, "max_length=513, but the model takes"),
        (["--device", "cuda:7"], 1, "the device 'cuda:7' can't be used"),
        (["--labels", "regression"], 1, "train.csv:2"),
        (["--eval", "nowhere.csv"], 1, "nowhere.csv"),
    ],
)
def test_errors_come_before_training(shell, models, table, tmp_path, options, code, message):
    folder = tmp_path / "mine"
    arguments = ["--model", models["base"], "--train", table, "--output", folder]
    run = shell("finetune", *arguments, *options)
    assert (run.code, run.out) == (code, "") and message in run.err
    assert not folder.exists()


def test_evaluating_what_was_never_trained(shell, models, table):
    run = shell("evaluate", table, "--model", models["base"])
    assert run.code == 1 and "has no trained" in run.err
