"""A shell to run commands in, and small checkpoints with every head."""

import pytest

import minidistil
from tests.cli.running import Shell
from tests.pipelines.checkpoints import save_checkpoint

HEADS = {
    "base": ("Model", {}),
    "mlm": ("ForMaskedLM", {}),
    "classifier": ("ForSequenceClassification", {"id2label": {0: "NEGATIVE", 1: "POSITIVE"}}),
    "tagger": ("ForTokenClassification", {"id2label": {0: "O", 1: "B-PER", 2: "I-PER"}}),
    "squad": ("ForQuestionAnswering", {}),
    "swag": ("ForMultipleChoice", {}),
}


@pytest.fixture
def shell(monkeypatch, capsys):
    return Shell(monkeypatch, capsys)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    top = tmp_path_factory.mktemp("models")
    return {
        name: save_checkpoint(top / name, getattr(minidistil, f"DistilBert{cls}"), **fields)
        for name, (cls, fields) in HEADS.items()
    }
