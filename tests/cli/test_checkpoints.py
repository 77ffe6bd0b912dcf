"""info and convert."""

import json
import re
import shutil
import sys

import pytest
import torch
import transformers

import minidistil
from minidistil import DistilBertModel
from minidistil.quantization import METHOD, quantize
from minidistil.tokenization import DistilBertTokenizer
from tests.checkpoints.legacy import HEADS, PACKAGES, inputs, outputs, unpack
from tests.helpers.tolerances import assert_close
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


def test_info_for_people(shell, models, tmp_path):
    run = shell("info", models["classifier"])
    assert "\nlabels      0  NEGATIVE\n            1  POSITIVE\n" in run.out
    size = (models["classifier"] / "model.safetensors").stat().st_size
    assert f"\nfiles       model.safetensors  {size / 1000:.1f} kB\n" in run.out
    assert re.search(r"\n            vocab.txt +\d{3} bytes\n", run.out)
    # Said once: of the config only what has no line of its own.
    assert run.out.count("float32") == run.out.count("DistilBertFor") == 1
    assert "id2label" not in run.out and "label2id" not in run.out
    # A head without labels has LABEL_0 and LABEL_1 in its config all the same.
    for name in ("base", "swag"):
        assert "label" not in shell("info", models[name]).out.lower()
        assert shell("info", models[name], "--json").objects[0]["labels"] == {}
    (tmp_path / "config.json").write_text('{"model_type": "distilbert"}', encoding="utf-8")
    run = shell("info", tmp_path)
    assert "dtype       not said\n" in run.out and "class       not said\n" in run.out


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


def test_info_names_a_shard_that_is_missing(shell, models, tmp_path):
    shutil.copytree(models["base"], tmp_path, dirs_exist_ok=True)
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    (tmp_path / "model.safetensors").rename(tmp_path / shards[0])
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}))
    run = shell("info", tmp_path)
    assert (run.code, run.out) == (1, "")
    assert run.err.endswith(f" names {shards[1]}, which is not there\n")


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


def test_convert_into_what_a_killed_save_has_left(shell, bert, tmp_path):
    (tmp_path / "target" / ".saving-abc").mkdir(parents=True)
    assert shell("convert", bert, tmp_path / "target").code == 0


def test_convert_says_why_a_head_is_left_out(shell, bert, tmp_path):
    config = transformers.BertConfig.from_pretrained(bert)
    transformers.BertForQuestionAnswering(config).save_pretrained(bert)
    run = shell("convert", bert, tmp_path / "target")
    assert "DistilBertModel" in run.out
    assert "left out: qa_outputs.bias, qa_outputs.weight\n" in run.out
    assert "Questions and their contexts are such pairs: qa_outputs would answer wrong" in run.out
    help_ = " ".join(shell("convert", "--help").out.split())
    assert "read pairs of texts, as that for question answering does" in help_


def test_convert_replaces_an_earlier_checkpoint(shell, bert, models, tmp_path):
    target = tmp_path / "target"
    shutil.copytree(models["base"], target)
    stale = ["model-00001-of-00002.safetensors", "model.safetensors.index.json"]
    stale += ["pytorch_model.bin", "special_tokens_map.json", "added_tokens.json"]
    stale += ["tf_model.h5", "tf_model-00001-of-00002.h5", "tf_model.h5.index.json"]
    stale += ["flax_model.msgpack", "flax_model-00001-of-00002.msgpack"]
    stale += ["flax_model.msgpack.index.json"]
    kept = ["notes", "vocab.txt.bak", "model.bin", "my-model.safetensors", "README.md"]
    for name in stale + kept:
        (target / name).write_text("{}", encoding="utf-8")
    (target / "pytorch_model-00001-of-00002.bin").mkdir()  # no file: nothing to remove
    run = shell("convert", bert, target, "--force")
    assert run.code == 0
    assert f"removed of the earlier checkpoint: {', '.join(sorted(stale))}\n" in run.out
    assert {path.name for path in target.iterdir()} == {
        *(path.name for path in models["base"].iterdir()),
        *kept,
        "pytorch_model-00001-of-00002.bin",
    }


def test_convert_removes_nothing_where_there_is_no_checkpoint(shell, bert, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "added_tokens.json").write_text("mine", encoding="utf-8")
    run = shell("convert", bert, target, "--force")
    assert run.code == 0 and "removed" not in run.out
    assert (target / "added_tokens.json").exists()


def test_convert_does_not_write_over_its_source(shell, bert):
    before = {path.name: path.read_bytes() for path in bert.iterdir()}
    run = shell("convert", bert, bert / ".." / bert.name, "--force")
    assert run.code == 2 and "is SOURCE itself: choose another folder" in run.err
    assert {path.name: path.read_bytes() for path in bert.iterdir()} == before


def test_nothing_is_written_where_something_fails(shell, bert, models, tmp_path):
    target = tmp_path / "target"
    other = tmp_path / "other"
    shutil.copytree(models["base"], other)
    (other / "config.json").write_text('{"model_type": "roberta"}', encoding="utf-8")
    run = shell("convert", other, target)
    assert run.code == 1 and "model_type is 'roberta', not 'distilbert'" in run.err
    (bert / "tokenizer.json").write_text("{", encoding="utf-8")
    run = shell("convert", bert, target)
    assert run.code == 1 and "tokenizer.json" in run.err
    assert not target.exists()


def test_convert_to_int8(shell, bert, tmp_path):
    assert shell("convert", bert, tmp_path / "floats").code == 0
    run = shell("convert", bert, tmp_path / "int8", "--int8")
    want = DistilBertModel.from_pretrained(tmp_path / "floats")
    got = DistilBertModel.from_pretrained(tmp_path / "int8")
    assert f"DistilBertModel, {want.num_parameters():,} parameters\n" in run.out
    assert "rounded to 8 bits" in run.out and "texts, but for the rounding. Distil" in run.out
    for name, weight in quantize(want).state_dict().items():
        assert torch.equal(quantize(got).state_dict()[name], weight)
    DistilBertTokenizer.from_pretrained(tmp_path / "int8")
    (facts,) = shell("info", tmp_path / "int8", "--json").objects
    assert facts["dtype"] == "float32, int8" and facts["parameters"] == want.num_parameters()
    assert facts["config"]["quantization_config"] == METHOD
    assert "minidistil_int8_rows" in shell("info", tmp_path / "int8").out


@pytest.mark.parametrize("name", ["base", "mlm", "classifier", "tagger", "squad", "swag"])
def test_a_distilbert_to_int8(name, shell, models, tmp_path):
    """Its class, head and labels are kept; in int8 already, it stays bit for bit."""
    run = shell("convert", models[name], tmp_path / "once", "--int8")
    assert run.code == 0 and "left out: nothing\n" in run.out
    assert "rounded to 8 bits" in run.out and "segment" not in run.out
    (facts,) = shell("info", tmp_path / "once", "--json").objects
    (before,) = shell("info", models[name], "--json").objects
    changed = {"model", "dtype", "config", "files"}
    assert {k: facts[k] for k in facts if k not in changed} == {
        k: before[k] for k in before if k not in changed
    }
    assert shell("convert", tmp_path / "once", tmp_path / "twice", "--int8").code == 0
    first, second = (tmp_path / n / "model.safetensors" for n in ("once", "twice"))
    assert first.read_bytes() == second.read_bytes()


def test_int8_of_what_is_not_whole(shell, models, tmp_path):
    shutil.copytree(models["base"], tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    config["architectures"] = ["DistilBertForQuestionAnswering"]
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    run = shell("convert", tmp_path / "model", tmp_path / "int8", "--int8")
    assert run.code == 1 and "has no trained qa_outputs.bias, qa_outputs.weight" in run.err
    assert not (tmp_path / "int8").exists()
    config["model_type"] = "roberta"
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    run = shell("convert", tmp_path / "model", tmp_path / "int8", "--int8")
    assert run.code == 1 and "model_type is 'roberta', not 'distilbert'" in run.err


@pytest.mark.parametrize("name", ["base", "mlm", "classifier", "tagger", "squad", "swag"])
def test_a_distilbert_stays_what_it_is(name, shell, models, tmp_path):
    run = shell("convert", models[name], tmp_path / "new")
    assert run.code == 0 and "left out: nothing\n" in run.out and "segment" not in run.out
    for path in models[name].iterdir():
        assert (tmp_path / "new" / path.name).read_bytes() == path.read_bytes(), path.name


def legacy(name, folder):
    """A checkpoint of transformers 4's other classes, with a tokenizer."""
    pytest.importorskip(PACKAGES[name.partition("-")[0]], reason="reads the file")
    path = unpack(name, folder)
    DistilBertTokenizer({token: i for i, token in enumerate(VOCAB)}).save_pretrained(path)
    return path


@pytest.mark.parametrize("cls", HEADS)
@pytest.mark.parametrize("framework", ["tf", "flax"])
@torch.no_grad()
def test_convert_what_tensorflow_or_flax_wrote(framework, cls, shell, tmp_path):
    name = f"{framework}-{cls}"
    source = legacy(name, tmp_path)
    run = shell("convert", source, tmp_path / "new")
    load = getattr(minidistil, cls).from_pretrained
    want = load(source)
    assert (run.code, run.err) == (0, "")
    count = want.num_parameters()
    assert run.out == f"{tmp_path / 'new'}: {cls}, {count:,} parameters\nleft out: nothing\n"
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        *(path.name for path in source.iterdir() if path.suffix not in (".h5", ".msgpack")),
        "model.safetensors",
    }
    got = load(tmp_path / "new").state_dict()
    assert got.keys() == want.state_dict().keys()
    for key, tensor in want.state_dict().items():
        assert torch.equal(got[key], tensor), key
    theirs = getattr(transformers, cls).from_pretrained(tmp_path / "new").eval()
    result = theirs(**inputs(name))
    for field, answer in outputs(name).items():
        assert_close(result[field], answer, field)
    for folder in (source, tmp_path / "new"):
        (facts,) = shell("info", folder, "--json").objects
        assert (facts["parameters"], facts["dtype"]) == (count, "float32")


@pytest.mark.parametrize("framework", ["tf", "flax"])
@torch.no_grad()
def test_convert_a_bert_of_another_framework(framework, shell, tmp_path):
    name = f"{framework}-BertModel"
    source = legacy(name, tmp_path)
    run = shell("convert", source, tmp_path / "new")
    assert run.code == 0 and "left out: pooler.dense.bias, pooler.dense.weight\n" in run.out
    model = DistilBertModel.from_pretrained(tmp_path / "new")
    want = outputs(name)["last_hidden_state"]
    assert_close(model(**inputs(name)).last_hidden_state, want)


@pytest.mark.parametrize("name", ["tf-float16", "flax-bfloat16", "flax-shards", "tf-shards"])
def test_info_of_what_tensorflow_or_flax_wrote(name, shell, tmp_path):
    source = legacy(name, tmp_path)
    (facts,) = shell("info", source, "--json").objects
    _, dtype = name.split("-")
    assert facts["dtype"] == ("float32" if dtype == "shards" else dtype)
    want = minidistil.DistilBertForMaskedLM.from_pretrained(source).num_parameters()
    assert facts["parameters"] == want
    assert len([file for file in facts["files"] if "_model" in file]) == (
        3 if dtype == "shards" else 1
    )


def test_the_task_of_a_bert_is_no_choice(shell, tmp_path):
    source = legacy("tf-BertModel", tmp_path)
    run = shell("convert", source, tmp_path / "new", "--task", "fill-mask")
    assert run.code == 2 and "--task is of a DistilBERT" in run.err


def test_convert_to_int8_from_tensorflow(shell, tmp_path):
    source = legacy("tf-DistilBertForTokenClassification", tmp_path)
    run = shell("convert", source, tmp_path / "int8", "--int8")
    assert run.code == 0 and "rounded to 8 bits" in run.out
    (facts,) = shell("info", tmp_path / "int8", "--json").objects
    assert facts["dtype"] == "float32, int8"


@pytest.mark.parametrize("verb", ["info", "convert"])
def test_the_package_that_reads_it_is_absent(verb, shell, tmp_path, monkeypatch):
    source = legacy("tf-DistilBertModel", tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    run = shell(verb, source, *([tmp_path / "new"] if verb == "convert" else []))
    assert (run.code, run.out) == (1, "") and not (tmp_path / "new").exists()
    assert run.err.endswith("tf_model.h5 needs h5py: pip install 'minidistil[legacy]'\n")
    assert run.err.count("\n") == 1
