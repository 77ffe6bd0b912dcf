"""Every way a checkpoint can be broken: an error that names the file, and no code of it is run."""

import pytest
import safetensors.torch
import torch

from minidistil import DistilBertModel
from minidistil.checkpoints.files import read_json, write_json
from minidistil.checkpoints.weights import read_weights
from tests.helpers.reference import pair


class Exploit:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def broken(kind, folder):
    """Break one thing in a good checkpoint."""
    file = folder / "model.safetensors"
    if kind == "truncated safetensors":
        file.write_bytes(file.read_bytes()[:-100])
    elif kind == "empty safetensors":
        file.write_bytes(b"")
    elif kind == "git-lfs pointer":
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    elif kind == "no weights":
        file.unlink()
    elif kind == "no config":
        (folder / "config.json").unlink()
    elif kind == "bad json":
        (folder / "config.json").write_text('{"dim": 32,')
    elif kind == "json list":
        (folder / "config.json").write_text("[1]")
    elif kind == "not utf-8":
        (folder / "config.json").write_bytes(b"\xff\xfe{}")
    elif kind == "another architecture":
        (folder / "config.json").write_text('{"model_type": "roberta"}')
    elif kind == "nonsense in the config":
        (folder / "config.json").write_text('{"dropout": 2.0}')
    elif kind == "wrong shapes":
        (folder / "config.json").write_text('{"dim": 48}')
    elif kind == "missing encoder weights":
        weights = safetensors.torch.load_file(file)
        del weights["transformer.layer.0.ffn.lin1.weight"]
        safetensors.torch.save_file(weights, file)
    elif kind == "int8 weights":
        weights = safetensors.torch.load_file(file)
        name = "transformer.layer.0.ffn.lin1.weight"
        weights[name] = (weights[name] * 100).to(torch.int8)
        safetensors.torch.save_file(weights, file)
    elif kind == "fp8 weights":
        weights = safetensors.torch.load_file(file)
        weights = {name: weight.to(torch.float8_e4m3fn) for name, weight in weights.items()}
        safetensors.torch.save_file(weights, file)
    elif kind == "a config of quantized weights":
        config = {"quantization_config": {"quant_method": "fp8"}}
        write_json(folder / "config.json", read_json(folder / "config.json") | config)
    elif kind == "missing shard":
        file.unlink()
        index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
        write_json(folder / "model.safetensors.index.json", index)
    elif kind == "two shards, one name":
        weights = safetensors.torch.load_file(file)
        file.unlink()
        for number in (1, 2):
            weights["embeddings.LayerNorm.bias"] += 1
            safetensors.torch.save_file(weights, folder / f"model-{number}.safetensors")
        index = {"weight_map": {"embeddings.LayerNorm.bias": "model-1.safetensors"}}
        index["weight_map"]["embeddings.LayerNorm.weight"] = "model-2.safetensors"
        write_json(folder / "model.safetensors.index.json", index)
    elif kind == "shard outside the folder":
        file.rename(folder.parent / "outside.safetensors")
        index = {"weight_map": {"a": "../outside.safetensors"}}
        write_json(folder / "model.safetensors.index.json", index)
    elif kind == "index without a map":
        file.unlink()
        write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": 1}})
    else:
        file.unlink()
        pickled = folder / "pytorch_model.bin"
        if kind == "pickle with code":
            torch.save({"a": Exploit(folder / "exploited")}, pickled)
        elif kind == "truncated bin":
            torch.save({"a": torch.zeros(1000)}, pickled)
            pickled.write_bytes(pickled.read_bytes()[:-500])
        elif kind == "bin of a list":
            torch.save([torch.zeros(1)], pickled)
        elif kind == "bin of noise":
            pickled.write_bytes(bytes(range(256)))
        elif kind == "bin of a web page":
            pickled.write_bytes(b"<html>404</html>")
        elif kind == "bin of text":
            pickled.write_bytes(b"hello world, this is not a model")
        elif kind == "bin of numbered tensors":
            torch.save({1: torch.ones(2)}, pickled)
        elif kind == "bin of a dictionary in a dictionary":
            torch.save({"model": {"a": torch.ones(2)}}, pickled)
        elif kind == "bin of a sparse tensor":
            torch.save({"a": torch.eye(3).to_sparse()}, pickled)
        elif kind == "bin without data":
            torch.save({"a": torch.eye(3, device="meta")}, pickled)


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("truncated safetensors", ValueError, "model.safetensors is truncated"),
        ("empty safetensors", ValueError, "model.safetensors is truncated"),
        ("git-lfs pointer", ValueError, "git lfs pull"),
        ("no weights", FileNotFoundError, "neither model.safetensors nor pytorch_model.bin"),
        ("no config", FileNotFoundError, "no config.json"),
        ("bad json", ValueError, "config.json is not valid JSON"),
        ("json list", ValueError, "JSON list"),
        ("not utf-8", ValueError, "config.json is not valid JSON"),
        ("another architecture", ValueError, "model_type is 'roberta'"),
        ("nonsense in the config", ValueError, r"config.json: config.dropout .* not 2.0"),
        ("wrong shapes", ValueError, r"\(32,\) in the checkpoint, but \(48,.*pass ignore_mism"),
        ("missing encoder weights", ValueError, "lacks 1 weights of the encoder.*lin1.weight"),
        ("int8 weights", ValueError, r"lin1.weight is of torch.int8 in the checkpoint: quantized"),
        ("fp8 weights", ValueError, r"is of torch.float8_e4m3fn in the checkpoint: quantized"),
        ("a config of quantized weights", ValueError, "quantization_config={'quant_method': "),
        ("missing shard", FileNotFoundError, "names model-00001-of-00001.safetensors"),
        ("two shards, one name", ValueError, "embeddings.LayerNorm.bias is there twice, with diff"),
        ("shard outside the folder", ValueError, "'../outside.safetensors' is not a plain"),
        ("index without a map", ValueError, "weight_map"),
        ("pickle with code", ValueError, "could run code: refused"),
        ("truncated bin", ValueError, "pytorch_model.bin is truncated"),
        ("bin of a list", ValueError, "holds a list, not a dictionary of tensors"),
        ("bin of noise", ValueError, r"pytorch_model.bin is no PyTorch .* begins with b'\\x00"),
        ("bin of a web page", ValueError, "no PyTorch weights file: it begins with b'<html>404"),
        ("bin of text", ValueError, "no PyTorch weights file: it begins with b'hello world"),
        ("bin of numbered tensors", ValueError, "calls a tensor 1: not the name of a weight"),
        ("bin of a dictionary in a dictionary", ValueError, "holds a dict as 'model', not a ten"),
        ("bin of a sparse tensor", ValueError, r"a is sparse, .* \(torch.sparse_coo on cpu\)"),
        ("bin without data", ValueError, r"a is .* without data \(torch.strided on meta\)"),
    ],
)
def test_broken_checkpoints(kind, error, message, tmp_path):
    folder = tmp_path / "checkpoint"
    _, model = pair("DistilBertModel", "k16")
    model.save_pretrained(folder)
    broken(kind, folder)
    with pytest.raises(error, match=message):
        DistilBertModel.from_pretrained(folder)
    assert not (folder / "exploited").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # the flipped bit's
@pytest.mark.parametrize("archive", [True, False])
def test_every_flipped_bit_is_read_or_refused(archive, tmp_path):
    """A damaged pickle makes the unpickler stumble in a dozen ways; all become one error."""
    file = tmp_path / "pytorch_model.bin"
    tensor = torch.arange(3.0)
    torch.save({"a": tensor}, file, _use_new_zipfile_serialization=archive)
    good = file.read_bytes()
    refused = 0
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        file.write_bytes(bad)
        try:
            read_weights(tmp_path)
        except ValueError as error:
            assert str(file) in str(error)
            refused += 1
    assert refused > 50
