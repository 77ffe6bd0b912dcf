"""Damaged and hostile files in the formats of TensorFlow and Flax: refused with a reason."""

import struct

import numpy as np
import pytest
import torch

from minidistil.checkpoints.legacy import read_legacy
from minidistil.checkpoints.weights import read_weights
from tests.checkpoints.legacy import packed, same, unpack

h5py = pytest.importorskip("h5py", reason="reads tf_model.h5")
msgpack = pytest.importorskip("msgpack", reason="reads flax_model.msgpack")


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
        elif kind == "many tensors, one block":
            file["base"] = np.ones(5000)
            base = file["base"].id.get_offset()
            for number in range(9):
                file[f"x{number}"] = np.ones(3)
            places = [file[f"x{number}"].id.get_offset() for number in range(9)]
        elif kind == "long names in long names":
            group = file
            for _ in range(200):  # each path holds those above it: the square of the bytes
                group = group.create_group("a" * 1000)
        elif kind == "a tensor for a layer":
            file["layer/x"] = np.ones(2)
            file["layer"].attrs["weight_names"] = ["x"]
        elif kind == "an order to the terminal":
            file["x\x1b[2J"] = np.ones(2)
    if kind == "many tensors, one block":
        content = path.read_bytes()
        changes = {(place, 24): (base, 40000) for place in places}  # where, how many bytes
        for old, new in (changes | {(3, 3): (5000, 5000)}).items():  # and of which shape
            assert struct.pack("<QQ", *old) in content
            content = content.replace(struct.pack("<QQ", *old), struct.pack("<QQ", *new))
        path.write_bytes(content)
    elif kind == "beyond the end":
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
        ("many tensors, one block", "there are more bytes than in the file"),
        ("long names in long names", "'/a+'... is no path of a weight: 1001 characters"),
        ("a tensor for a layer", "/layer/x has no name of a weight"),
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


def test_a_name_can_give_no_order_to_the_terminal(tmp_path):
    broken_h5("an order to the terminal", tmp_path / "tf_model.h5")
    with pytest.raises(ValueError, match=r"calls a tensor 'x\\x1b\[2J': not the name of a weight"):
        read_weights(tmp_path)


def test_a_file_that_is_larger_than_memory(tmp_path):
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file["x"] = np.ones(1237, np.float32)
    content = (tmp_path / "tf_model.h5").read_bytes()
    for old, new in ((1237, 2**41), (1237 * 4, 2**43)):  # of the shape, and of the bytes
        content = content.replace(struct.pack("<Q", old), struct.pack("<Q", new))
    with (tmp_path / "tf_model.h5").open("wb") as file:
        file.write(content)
        file.truncate(2**43 + 2**20)  # with a hole: no byte on the disk
    with pytest.raises(ValueError, match="is damaged, or not as transformers wrote it"):
        read_weights(tmp_path)


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
    "too deep for us": (nested(1000), "is no path of a weight"),
    "too deep for msgpack": (nested(5000), "wrote it: "),
    "too long": (msgpack.packb({"a" * 300: {"b" * 300: 1}}), "is no path of a weight: 601 char"),
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
