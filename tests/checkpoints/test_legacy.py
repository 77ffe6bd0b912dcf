"""Files of transformers 4's TensorFlow and Flax classes: the same numbers, and nothing unsafe."""

import json
import struct
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
from minidistil.checkpoints.legacy import read_legacy, torch_name
from minidistil.checkpoints.weights import read_weights
from tests.checkpoints.legacy import HEADS, HERE, PACKAGES, inputs, outputs, unpack
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


def same(first, second):
    """Two state dicts are equal, bit for bit."""
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert torch.equal(tensor, second[name]), name


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


def broken_h5(kind, path):
    """A file with one thing in it that transformers would not write."""
    with h5py.File(path, "w") as file:
        file["good"] = np.ones(2, np.float32)
        if kind == "soft link":
            file["link"] = h5py.SoftLink("/good")
        elif kind == "external link":
            with h5py.File(path.parent / "other.h5", "w") as other:
                other["secret"] = np.ones(2, np.float32)
            file["link"] = h5py.ExternalLink("other.h5", "/secret")
        elif kind == "external storage":
            (path.parent / "secret").write_bytes(bytes(8))
            file.create_dataset("x", (2,), "f4", external=[(path.parent / "secret", 0, 8)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((2,), "f4")
            layout[:] = h5py.VirtualSource(path.parent / "other.h5", "secret", (2,))
            file.create_virtual_dataset("x", layout)
        elif kind == "compressed":
            file.create_dataset("x", (10**10,), "f4", compression="gzip")
        elif kind == "objects":
            file.create_dataset("x", (2,), h5py.string_dtype())
        elif kind == "references":
            file.create_dataset("x", (1,), h5py.ref_dtype)
        elif kind == "records":
            file.create_dataset("x", (2,), np.dtype([("a", "f4"), ("b", "f4")]))
        elif kind == "complex":
            file["x"] = np.ones(2, np.complex64)
        elif kind == "huge and empty":
            file.create_dataset("x", (2**40,), "f4")
        elif kind == "beyond the end":
            file["x"] = np.ones(1237, np.float32)
        elif kind == "a type":
            file["x"] = np.dtype("f4")
        elif kind == "a circle":
            file.create_group("x")["y"] = file
        elif kind == "nothing in a dataset":
            file["x"] = h5py.Empty("f4")
        elif kind == "big end first":
            file["x"] = np.ones(2, ">f4")
        elif kind == "one name, two tensors":
            file["a/gamma:0"], file["a/weight:0"] = np.ones(2), np.zeros(2)
    if kind == "beyond the end":
        content = path.read_bytes()
        for old, new in ((1237, 2**40), (1237 * 4, 2**42)):  # of the shape, and of the bytes
            assert struct.pack("<Q", old) in content
            content = content.replace(struct.pack("<Q", old), struct.pack("<Q", new))
        path.write_bytes(content)
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:-4])
    elif kind == "a web page":
        path.write_bytes(b"<html>404</html>")
    elif kind == "nothing":
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("soft link", "'link' in / is a link to a path"),
        ("external link", "'link' in / is a link to a path"),
        ("external storage", "/x is not in one piece in this file"),
        ("virtual", "/x is not in one piece in this file"),
        ("compressed", "/x is not in one piece in this file"),
        ("objects", "/x is of object, which is no dtype of weights"),
        ("references", "/x is of object, which is no dtype of weights"),
        ("records", r"/x is of .*'a'.*, which is no dtype of weights"),
        ("complex", "/x is of complex64, which is no dtype of weights"),
        ("huge and empty", r"/x is \(1099511627776,\), 4398046511104 bytes, which are not there"),
        ("beyond the end", "invalid dataset size, likely file corruption"),
        ("a type", "/x is neither a group nor a tensor"),
        ("a circle", "are one object"),
        ("nothing in a dataset", "not iterable"),
        ("big end first", "byte order"),
        ("one name, two tensors", "a.weight is there twice, with different numbers"),
        ("truncated", "truncated file"),
        ("a web page", "signature not found"),
        ("nothing", "signature not found"),
    ],
)
def test_broken_h5(kind, message, tmp_path):
    path = tmp_path / "tf_model.h5"
    broken_h5(kind, path)
    with pytest.raises(ValueError, match=message) as error:
        read_weights(tmp_path)
    assert str(error.value).startswith(f"{path} is damaged, or not as transformers wrote it: ")


def test_shapes_of_h5(tmp_path):
    """A scalar, nothing, and what is small enough to lie in a header of the file."""
    small = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    small.set_layout(h5py.h5d.COMPACT)
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file["scalar"], file["none"] = np.float32(3), np.ones((0, 5), np.float16)
        space = h5py.h5s.create_simple((2, 3))
        compact = h5py.h5d.create(file.id, b"kernel", h5py.h5t.NATIVE_FLOAT, space, small)
        h5py.Dataset(compact)[:] = np.arange(6).reshape(2, 3)
        file["a/b/kernel:0"] = np.arange(6).reshape(2, 3)
    got = read_weights(tmp_path)
    same(
        got,
        {
            "scalar": torch.tensor(3.0),
            "none": torch.ones(0, 5, dtype=torch.float16),
            "weight": torch.tensor([[0.0, 3], [1, 4], [2, 5]]),
            "a.b.weight": torch.tensor([[0, 3], [1, 4], [2, 5]]),
        },
    )


def packed(shape, dtype, data, code=1):
    """An array as Flax packs it."""
    return msgpack.ExtType(code, msgpack.packb((shape, dtype, data)))


def nested(depth):
    return depth * msgpack.packb({"a": 0})[:-1] + msgpack.packb(packed([1], "float32", bytes(4)))


def test_shapes_of_msgpack(tmp_path):
    tree = {
        "scalar": packed([], "float32", np.float32(3).tobytes(), code=3),
        "none": packed([0, 5], "float16", b""),
        "kernel": packed([2, 3], "int32", np.arange(6, dtype=np.int32).tobytes()),
        "empty": {},
    }
    (tmp_path / "flax_model.msgpack").write_bytes(msgpack.packb(tree))
    same(
        read_weights(tmp_path),
        {
            "scalar": torch.tensor(3.0),
            "none": torch.ones(0, 5, dtype=torch.float16),
            "weight": torch.tensor([[0, 3], [1, 4], [2, 5]], dtype=torch.int32),
        },
    )


FOUR = bytes(4)
BROKEN_MSGPACK = {
    "truncated": (msgpack.packb({"a": packed([1], "float32", FOUR)})[:-3], "incomplete input"),
    "nothing": (b"", "empty file"),
    "a web page": (b"<html>404</html>", "extra data"),
    "a list": (msgpack.packb([1]), "holds a list, not a dictionary"),
    "a number as a weight": (msgpack.packb({"a": {"b": 3}}), "a/b is a int, not an array"),
    "a list as a weight": (msgpack.packb({"a": [1.0]}), "a is a list, not an array"),
    "numbered weights": (msgpack.packb({1: packed([1], "float32", FOUR)}), "int is not allowed"),
    "a complex number": (
        msgpack.packb({"a": msgpack.ExtType(2, msgpack.packb((1.0, 2.0)))}),
        "extension type 2, which is no array",
    ),
    "a date": (msgpack.packb({"a": msgpack.Timestamp(1)}), "not an array|extension type"),
    "objects": (
        msgpack.packb({"a": packed([1], "object", bytes(8))}),
        "an array is of 'object', which is no dtype of weights",
    ),
    "a huge shape": (
        msgpack.packb({"a": packed([2**40], "float32", FOUR)}),
        r"an array of \[1099511627776\] float32 has 4 bytes",
    ),
    "a shape below zero": (
        msgpack.packb({"a": packed([-1, -1], "float32", FOUR)}),
        r"an array of \[-1, -1\] float32 has 4 bytes",
    ),
    "half a shape": (msgpack.packb({"a": packed([0.5, 2], "float32", FOUR)}), "wrote it: "),
    "an array of two fields": (
        msgpack.packb({"a": msgpack.ExtType(1, msgpack.packb((1, 2)))}),
        "missing 1 required",
    ),
    # A list of 2 ** 31 items that are not there, in five bytes.
    "a huge list": (b"\x81\xa1a\xdd\x80\x00\x00\x00" + bytes(100), r"exceeds max_array_len\(64\)"),
    "a huge dictionary": (b"\xdf\xff\xff\xff\xff" + bytes(100), "exceeds max_map_len"),
    "too deep for us": (nested(1000), "recursion"),
    "too deep for msgpack": (nested(5000), "wrote it: "),
    "chunks without one": (
        msgpack.packb({"a": {"__msgpack_chunked_array__": True, "shape": {}, "chunks": {"1": 2}}}),
        "wrote it: '0'",
    ),
    "chunks of another shape": (
        msgpack.packb(
            {
                "a": {
                    "__msgpack_chunked_array__": True,
                    "shape": {"0": 2},
                    "chunks": {"0": packed([1], "float32", FOUR)},
                }
            }
        ),
        r"shape '\[2\]' is invalid for input of size 1",
    ),
    "one name, two tensors": (
        msgpack.packb(
            {
                "scale": packed([1], "float32", FOUR),
                "embedding": packed([1], "float32", b"\x00\x00\x80\x3f"),
            }
        ),
        "weight is there twice, with different numbers",
    ),
}


@pytest.mark.parametrize(("content", "message"), BROKEN_MSGPACK.values(), ids=BROKEN_MSGPACK)
def test_broken_msgpack(content, message, tmp_path):
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_weights(tmp_path)
    assert str(error.value).startswith(f"{path} is damaged, or not as transformers wrote it: ")


def test_every_flipped_bit_is_read_or_refused(tmp_path):
    path = unpack("flax-DistilBertModel", tmp_path) / "flax_model.msgpack"
    good = path.read_bytes()
    refused = 0
    for position in range(0, len(good), 5):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        path.write_bytes(bad)
        try:
            read_legacy(path)
        except ValueError as error:
            assert str(error).startswith(str(path))
            refused += 1
    assert refused > 100


def test_fixtures_are_as_transformers_4_names_them(tmp_path):
    """Guards the tests above: real names of Keras and Flax, of the version that is written down."""
    folder = unpack("tf-shards", tmp_path)
    index = json.loads((folder / "tf_model.h5.index.json").read_text())
    words = "tf_distil_bert_for_masked_lm/distilbert/embeddings/word_embeddings/weight:0"
    assert words in index["weight_map"]
    assert read_json(folder / "config.json")["transformers_version"] == "4.57.6"
    assert "transformers==4.57.6" in (HERE / "make.py").read_text(encoding="utf-8")
