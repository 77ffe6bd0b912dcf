"""info and convert."""

import json
import shutil

import pytest
import torch
import transformers

from minidistil import DistilBertModel
from minidistil.tokenization import DistilBertTokenizer
from tests.pipelines.checkpoints import TEXTS, VOCAB


@pytest.fixture
def bert(tmp_path):
    """A small BERT with a masked-LM head and its tokenizer, as transformers saves them."""
    config = transformers.BertConfig(
        vocab_size=len(VOCAB),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=37,
        max_position_embeddings=64,
    )
    folder = tmp_path / "bert"
    transformers.BertModel(config).save_pretrained(folder)
    DistilBertTokenizer({token: i for i, token in enumerate(VOCAB)}).save_pretrained(folder)
    return folder


def test_info(shell, models):
    (facts,) = shell("info", models["classifier"], "--json").objects
    model = transformers.AutoModel.from_pretrained(models["base"])
    assert facts["class"] == "DistilBertForSequenceClassification"
    assert facts["labels"] == {"0": "NEGATIVE", "1": "POSITIVE"}
    assert facts["dtype"] == "float32" and facts["config"]["n_layers"] == 2
    size = (models["classifier"] / "model.safetensors").stat().st_size
    assert facts["files"]["model.safetensors"] == size
    (base,) = shell("info", models["base"], "--json").objects
    assert base["parameters"] == model.num_parameters()
    run = shell("info", models["base"])
    assert f"parameters  {model.num_parameters():,}\n" in run.out
    assert "dtype       float32\n" in run.out


def test_info_without_safetensors(shell, models, tmp_path):
    (tmp_path / "config.json").write_bytes((models["base"] / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    (facts,) = shell("info", tmp_path, "--json").objects
    assert facts["parameters"] == "not counted: no safetensors file"
    assert list(facts["files"]) == ["pytorch_model.bin"]


def test_info_counts_what_would_be_loaded(shell, models, tmp_path):
    shutil.copytree(models["base"], tmp_path, dirs_exist_ok=True)
    (want,) = shell("info", models["base"], "--json").objects
    shutil.copy(tmp_path / "model.safetensors", tmp_path / "shard.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "shard.safetensors"}}), encoding="utf-8")
    for name in ("model.safetensors", "shard.safetensors"):
        (facts,) = shell("info", tmp_path, "--json").objects
        assert facts["parameters"] == want["parameters"]
        assert [file for file in facts["files"] if file.endswith(".safetensors")] == [name]
        (tmp_path / "model.safetensors").unlink(missing_ok=True)
    (tmp_path / "shard.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0rubbish!")
    for content, message in (
        (index.read_text(encoding="utf-8"), "shard.safetensors is truncated or no safetensors"),
        ("{}", "index.json has no weight_map"),
    ):
        index.write_text(content, encoding="utf-8")
        run = shell("info", tmp_path)
        assert run.code == 1 and message in run.err and run.err.count("\n") == 1


def test_info_of_what_is_no_distilbert(shell, bert):
    run = shell("info", bert)
    assert run.code == 1 and "model_type is 'bert'" in run.err


@torch.no_grad()
def test_convert(shell, bert, tmp_path):
    target = tmp_path / "distilbert"
    run = shell("convert", bert, target)
    assert run.code == 0
    assert "left out: pooler.dense.bias, pooler.dense.weight\n" in run.out
    assert "for pairs of texts they differ" in run.out
    assert not [path for path in target.iterdir() if path.name.startswith(".")]
    tokenizer = DistilBertTokenizer.from_pretrained(target)
    rows = tokenizer(TEXTS, padding=True, return_tensors="pt")
    want = transformers.BertModel.from_pretrained(bert).eval()(**rows).last_hidden_state
    got = DistilBertModel.from_pretrained(target)(**rows).last_hidden_state
    mask = rows["attention_mask"].bool()
    torch.testing.assert_close(got[mask], want[mask], atol=1e-5, rtol=0)


def test_convert_keeps_what_is_there(shell, bert, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "notes").write_text("mine", encoding="utf-8")
    run = shell("convert", bert, target)
    assert run.code == 2 and "is not empty: choose another folder, or pass --force" in run.err
    assert [path.name for path in target.iterdir()] == ["notes"]
    assert shell("convert", bert, target, "--force").code == 0
    assert (target / "notes").exists() and (target / "model.safetensors").exists()


def test_nothing_is_written_where_something_fails(shell, bert, models, tmp_path):
    target = tmp_path / "target"
    run = shell("convert", models["base"], target)
    assert run.code == 1 and "model_type is 'distilbert'" in run.err
    (bert / "tokenizer.json").write_text("{", encoding="utf-8")
    run = shell("convert", bert, target)
    assert run.code == 1 and "tokenizer.json" in run.err
    assert not target.exists()
