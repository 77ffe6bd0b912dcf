"""Files of transformers 4's TensorFlow and Flax classes: the same numbers, and nothing unsafe."""

import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

import minidistil
from minidistil.checkpoints.conversion import convert_bert
from minidistil.checkpoints.files import read_json, write_json
from minidistil.checkpoints.legacy import torch_name
from minidistil.checkpoints.weights import read_weights
from tests.checkpoints.legacy import HEADS, HERE, PACKAGES, inputs, outputs, packed, same, unpack
from tests.helpers.tolerances import assert_close

h5py = pytest.importorskip("h5py", reason="reads tf_model.h5")
msgpack = pytest.importorskip("msgpack", reason="reads flax_model.msgpack")

WHOLE = {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}
FILES = {"tf": "tf_model.h5", "flax": "flax_model.msgpack"}


@torch.no_grad()
def check(model, name):
    """A model computes what transformers' own class did."""
    result = model(**inputs(name))
    for field, want in outputs(name).items():
        assert want.std() > 0.1, "numbers that hardly differ prove nothing"
        assert_close(result[field], want, f"{name} {field}")


@pytest.mark.parametrize("cls", HEADS)
@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_every_head(framework, cls, tmp_path):
    """Ours computes the same; saved, it is the same, here and in transformers 5."""
    name = f"{framework}-{cls}"
    folder = unpack(name, tmp_path)
    model, info = getattr(minidistil, cls).from_pretrained(folder, output_loading_info=True)
    assert info == WHOLE and not model.training
    check(model, name)
    assert all(parameter.is_contiguous() for parameter in model.parameters())
    model.save_pretrained(tmp_path / "new")
    again = getattr(minidistil, cls).from_pretrained(tmp_path / "new")
    same(again.state_dict(), model.state_dict())
    theirs = getattr(transformers, cls).from_pretrained(tmp_path / "new").eval()
    same(theirs.state_dict(), model.state_dict())
    check(theirs, name)


@pytest.mark.parametrize("cls", HEADS)
def test_both_formats_hold_the_same(cls, tmp_path):
    """Both were made of one PyTorch model."""
    load = getattr(minidistil, cls).from_pretrained
    tf, flax = (load(unpack(f"{framework}-{cls}", tmp_path)) for framework in FILES)
    same(tf.state_dict(), flax.state_dict())


@pytest.mark.parametrize("name", ["tf-shards", "flax-shards", "flax-chunked"])
def test_in_parts(name, tmp_path):
    framework = name.partition("-")[0]
    whole = read_weights(unpack(f"{framework}-DistilBertForMaskedLM", tmp_path))
    same(read_weights(unpack(name, tmp_path)), whole)


@pytest.mark.parametrize("name", ["tf-float16", "flax-float16", "flax-bfloat16"])
def test_the_dtype_is_kept(name, tmp_path):
    """The config names a dtype, and that is what a model gets; without it the file's counts."""
    framework, _, dtype = name.partition("-")
    whole = read_weights(unpack(f"{framework}-DistilBertForMaskedLM", tmp_path))
    half = {key: tensor.to(getattr(torch, dtype)) for key, tensor in whole.items()}
    folder = unpack(name, tmp_path)
    same(read_weights(folder), half)
    load = minidistil.DistilBertForMaskedLM.from_pretrained
    assert load(folder).dtype == torch.float32
    config = read_json(folder / "config.json")
    del config["dtype"]
    write_json(folder / "config.json", config)
    assert load(folder).dtype == getattr(torch, dtype)


@pytest.mark.parametrize("cls", ["BertModel", "BertForMaskedLM"])
@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_a_bert(framework, cls, tmp_path):
    name = f"{framework}-{cls}"
    model, dropped = convert_bert(unpack(name, tmp_path))
    assert dropped == (["pooler.dense.bias", "pooler.dense.weight"] if cls == "BertModel" else [])
    assert type(model).__name__ == f"Distil{cls}"
    check(model, name)


def test_the_order(tmp_path):
    """The newest format that is there counts; the names of all are said where there is none."""
    old = [unpack(f"{framework}-DistilBertModel", tmp_path) for framework in FILES]
    folder = tmp_path / "folder"
    folder.mkdir()
    write_json(folder / "config.json", read_json(old[0] / "config.json"))
    with pytest.raises(
        FileNotFoundError,
        match=r"neither model\.safetensors nor pytorch_model\.bin, tf_model\.h5 or flax_model",
    ):
        read_weights(folder)
    for path, file in zip(reversed(old), reversed(FILES.values()), strict=True):
        (folder / file).write_bytes((path / file).read_bytes())
        assert len(read_weights(folder)) == 36
        # A file that is no longer looked at may be broken.
        (folder / file).write_bytes(b"broken")
        with pytest.raises(ValueError, match=file):
            read_weights(folder)
    torch.save({"a": torch.ones(1)}, folder / "pytorch_model.bin")
    assert list(read_weights(folder)) == ["a"]
    safetensors.torch.save_file({"b": torch.ones(1)}, folder / "model.safetensors")
    assert list(read_weights(folder)) == ["b"]


@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_what_is_not_understood_is_said(framework, tmp_path):
    folder = unpack(f"{framework}-DistilBertModel", tmp_path)
    file = folder / FILES[framework]
    if framework == "tf":
        with h5py.File(file, "a") as opened:
            opened["distilbert/tf_distil_bert_model/distilbert/extra/kernel:0"] = np.ones((2, 3))
    else:
        tree = msgpack.unpackb(file.read_bytes())
        tree["extra"] = {"kernel": packed([2, 3], "float64", bytes(48))}
        file.write_bytes(msgpack.packb(tree))
    load = minidistil.DistilBertForTokenClassification.from_pretrained
    with pytest.warns(UserWarning, match=r"new weights.*classifier.*not used:.*extra\.weight"):
        load(folder)
    _, info = load(folder, output_loading_info=True)
    assert info["missing_keys"] == ["classifier.bias", "classifier.weight"]
    (extra,) = info["unexpected_keys"]
    assert read_weights(folder)[extra].shape == (3, 2)


def test_names():
    """Worked examples: levels, what stands for nothing, last words, and what is not known."""
    for path, name in {
        "distilbert/transformer/layer_._0/ffn/lin1/kernel:0": "distilbert.transformer.layer.0.ffn."
        "lin1.weight",
        "distilbert/embeddings/word_embeddings/weight:0": "distilbert.embeddings.word_embeddings."
        "weight",
        "distilbert/embeddings/position_embeddings/embeddings:0": "distilbert.embeddings."
        "position_embeddings.weight",
        "embeddings/LayerNorm/gamma:0": "embeddings.LayerNorm.weight",
        "embeddings/LayerNorm/beta:0": "embeddings.LayerNorm.bias",
        "embeddings/LayerNorm/scale": "embeddings.LayerNorm.weight",
        "embeddings/word_embeddings/embedding": "embeddings.word_embeddings.weight",
        "mlm___cls/predictions/bias:0": "cls.predictions.bias",
        "transformer/layer/1/what": "transformer.layer.1.what",
        "kernel": "weight",
    }.items():
        assert torch_name(path) == name


@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_the_package_is_absent(framework, tmp_path, monkeypatch):
    folder = unpack(f"{framework}-DistilBertModel", tmp_path)
    monkeypatch.setitem(sys.modules, PACKAGES[framework], None)
    way_out = rf"{FILES[framework]} needs {PACKAGES[framework]}: pip install 'minidistil\[legacy\]'"
    for kind in (ImportError, ValueError):  # a ValueError is what the command line shows in a line
        with pytest.raises(kind, match=way_out):
            minidistil.DistilBertModel.from_pretrained(folder)


def test_neither_framework_is_imported(tmp_path):
    folders = [str(unpack(f"{framework}-DistilBertModel", tmp_path)) for framework in FILES]
    code = (
        "import sys; from minidistil import DistilBertModel\n"
        "assert not {'h5py', 'msgpack'} & sys.modules.keys()\n"
        f"for folder in {folders}: DistilBertModel.from_pretrained(folder)\n"
        "assert not {'tensorflow', 'keras', 'tf_keras', 'jax', 'flax'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_index_that_promises_more(tmp_path):
    for framework, extra in (("tf", "model/extra/bias:0"), ("flax", "extra/bias")):
        folder = unpack(f"{framework}-shards", tmp_path)
        index = folder / f"{FILES[framework]}.index.json"
        content = read_json(index)
        content["weight_map"][extra] = next(iter(content["weight_map"].values()))
        write_json(index, content)
        with pytest.raises(ValueError, match=r"promises 'extra\.bias', which its file does not"):
            read_weights(folder)


def test_a_git_lfs_pointer(tmp_path):
    for file in FILES.values():
        (tmp_path / file).write_text("version https://git-lfs.github.com/spec/v1\nsize 1\n")
        with pytest.raises(ValueError, match=f"{file} is a git-lfs pointer"):
            read_weights(tmp_path)
        (tmp_path / file).unlink()


def test_fixtures_are_as_transformers_4_names_them(tmp_path):
    """Guards the tests above: real names of Keras and Flax, of the version that is written down."""
    folder = unpack("tf-shards", tmp_path)
    index = json.loads((folder / "tf_model.h5.index.json").read_text())
    words = "tf_distil_bert_for_masked_lm/distilbert/embeddings/word_embeddings/weight:0"
    assert words in index["weight_map"]
    assert read_json(folder / "config.json")["transformers_version"] == "4.57.6"
    assert "transformers==4.57.6" in (HERE / "make.py").read_text(encoding="utf-8")
