"""Loading: base <-> head, both libraries, old names, dtypes, and every way a file can be wrong."""

import pytest
import safetensors.torch
import torch
import transformers
from torch import nn

import minidistil
from minidistil import (
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    DistilBertModel,
)
from minidistil.checkpoints.files import read_json, write_json
from minidistil.checkpoints.weights import read_weights
from tests.helpers.reference import CLASSES, CONFIGS, inputs, pair
from tests.helpers.tolerances import assert_close


def quiet(cls, *args, **kwargs):
    """Load, where a warning about new or unused weights is expected."""
    with pytest.warns(UserWarning):
        return cls.from_pretrained(*args, **kwargs)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", CONFIGS)
def test_both_ways(cls, name, tmp_path):
    """What either saves, the other loads, without a missing or unexpected name."""
    theirs, ours = pair(cls, name)
    theirs.save_pretrained(tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    loaded, info = getattr(minidistil, cls).from_pretrained(
        tmp_path / "theirs", output_loading_info=True, attn_implementation="eager"
    )
    assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}
    again, info = getattr(transformers, cls).from_pretrained(
        tmp_path / "ours", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info.values())
    assert not loaded.training
    given = inputs(cls)
    with torch.no_grad():
        want = theirs(**given)[0]
        assert_close(loaded(**given)[0], want)
        assert_close(again(**given)[0], want)
    assert safetensors.torch.load_file(tmp_path / "ours/model.safetensors").keys() == (
        safetensors.torch.load_file(tmp_path / "theirs/model.safetensors").keys()
    )


def test_a_head_from_a_bare_encoder(tmp_path):
    _, encoder = pair("DistilBertModel", "k16")
    encoder.save_pretrained(tmp_path)
    load = DistilBertForSequenceClassification.from_pretrained
    with pytest.warns(UserWarning, match="new weights, to be trained before use: classifier.bias"):
        load(tmp_path, num_labels=3)
    model, info = load(tmp_path, num_labels=3, output_loading_info=True)
    new = ["classifier.bias", "classifier.weight", "pre_classifier.bias", "pre_classifier.weight"]
    assert info == {"missing_keys": new, "unexpected_keys": [], "mismatched_keys": []}
    assert model.config.num_labels == 3 and model.classifier.weight.shape == (3, 32)
    assert (model.classifier.bias == 0).all()
    assert model.pre_classifier.weight.std().item() == pytest.approx(0.02, rel=0.1)
    for name, weight in encoder.state_dict().items():
        assert torch.equal(model.distilbert.state_dict()[name], weight)


def test_a_bare_encoder_from_a_head(tmp_path):
    _, model = pair("DistilBertForMaskedLM", "k16")
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="not used: vocab_layer_norm.bias"):
        encoder = DistilBertModel.from_pretrained(tmp_path)
    for name, weight in encoder.state_dict().items():
        assert torch.equal(model.distilbert.state_dict()[name], weight)


def test_another_number_of_labels(tmp_path):
    _, model = pair("DistilBertForSequenceClassification", "k16", num_labels=4)
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"classifier.bias is \(4,\) in the checkpoint, but \(3,"):
        DistilBertForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    loaded = quiet(
        DistilBertForSequenceClassification,
        tmp_path,
        num_labels=3,
        ignore_mismatched_sizes=True,
    )
    assert loaded.classifier.weight.shape == (3, 32)
    assert torch.equal(loaded.pre_classifier.weight, model.pre_classifier.weight)


def test_label_names_survive_the_same_count(tmp_path):
    names = {0: "cat", 1: "dog"}
    _, model = pair("DistilBertForSequenceClassification", "k16", id2label=names)
    model.save_pretrained(tmp_path)
    load = DistilBertForSequenceClassification.from_pretrained
    assert load(tmp_path, num_labels=2).config.id2label == names
    renamed = load(tmp_path, id2label={0: "a", 1: "b"}).config
    assert (renamed.id2label, renamed.label2id) == ({0: "a", 1: "b"}, {"a": 0, "b": 1})


@pytest.mark.parametrize("form", ["bin", "sharded safetensors", "sharded bin"])
def test_other_forms_of_weights(form, tmp_path):
    theirs, _ = pair("DistilBertForMaskedLM", "k80-untied")
    theirs.save_pretrained(tmp_path, max_shard_size="20KB" if "sharded" in form else "1GB")
    if "sharded" in form:
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    if "bin" in form:
        # As older versions wrote it.
        weights = dict(theirs.state_dict())
        for path in tmp_path.glob("model*"):
            path.unlink()
        if form == "bin":
            torch.save(weights, tmp_path / "pytorch_model.bin")
        else:
            names = sorted(weights)
            parts = {"pytorch_model-1.bin": names[::2], "pytorch_model-2.bin": names[1::2]}
            for file, part in parts.items():
                torch.save({n: weights[n] for n in part}, tmp_path / file)
            index = {"weight_map": {n: file for file, part in parts.items() for n in part}}
            write_json(tmp_path / "pytorch_model.bin.index.json", index)
    loaded = DistilBertForMaskedLM.from_pretrained(tmp_path)
    for name, weight in theirs.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


def test_old_names(tmp_path):
    """gamma and beta, the position_ids buffer, and a tied projector written out."""
    _, model = pair("DistilBertForMaskedLM", "k16")
    model.save_pretrained(tmp_path)
    weights = {}
    for name, weight in model.state_dict().items():
        norm = "LayerNorm" in name or "layer_norm" in name
        old = name.replace(".weight", ".gamma").replace(".bias", ".beta") if norm else name
        weights[old] = weight.clone()
    weights["distilbert.embeddings.position_ids"] = torch.arange(24)[None]
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    loaded, info = DistilBertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert loaded.vocab_projector.weight is loaded.get_input_embeddings().weight
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


def test_a_projector_that_is_not_the_word_embedding(tmp_path):
    """Both are kept, as transformers 5 does, whatever the config says."""
    _, model = pair("DistilBertForMaskedLM", "k16")
    model.save_pretrained(tmp_path)
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    weights["vocab_projector.weight"] = torch.randn_like(model.vocab_projector.weight)
    file = tmp_path / "model.safetensors"
    safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
    loaded = quiet(DistilBertForMaskedLM, tmp_path)
    theirs = transformers.DistilBertForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(loaded.vocab_projector.weight, weights["vocab_projector.weight"])
    given = inputs("DistilBertForMaskedLM")
    with torch.no_grad():
        assert_close(loaded(**given).logits, theirs(**given).logits)
    loaded.save_pretrained(tmp_path / "again")
    again = DistilBertForMaskedLM.from_pretrained(tmp_path / "again")
    assert torch.equal(again.vocab_projector.weight, weights["vocab_projector.weight"])
    assert again.config.tie_word_embeddings is False


@pytest.mark.parametrize("dtype", ["auto", None, "float16", "torch.bfloat16", torch.float64])
def test_dtype(dtype, tmp_path):
    _, model = pair("DistilBertModel", "k16")
    model.to(torch.float16).save_pretrained(tmp_path)
    loaded = DistilBertModel.from_pretrained(tmp_path, dtype=dtype)
    expected = {None: torch.float16, "auto": torch.float16, "float16": torch.float16}
    assert loaded.dtype == expected.get(
        dtype, getattr(torch, str(dtype).removeprefix("torch."), None)
    )
    old_name = DistilBertModel.from_pretrained(tmp_path, torch_dtype=dtype)
    assert {p.dtype for p in old_name.parameters()} == {loaded.dtype}


def test_device(tmp_path):
    _, model = pair("DistilBertModel", "k16")
    model.save_pretrained(tmp_path)
    assert DistilBertModel.from_pretrained(tmp_path, device="meta").device.type == "meta"
    with pytest.raises(ValueError, match="the device 'cuda:999' can't be used: "):
        DistilBertModel.from_pretrained(tmp_path, device="cuda:999")


def test_loading_leaves_no_meta_tensor_and_keeps_frozen_positions(tmp_path):
    _, model = pair("DistilBertForMaskedLM", "k32-sinusoidal")
    model.save_pretrained(tmp_path)
    loaded = DistilBertForMaskedLM.from_pretrained(tmp_path)
    assert all(p.device.type == "cpu" for p in loaded.parameters())
    assert not loaded.get_position_embeddings().weight.requires_grad
    # Weights mapped from the file are private to this process: training may write them.
    with torch.no_grad():
        loaded.get_input_embeddings().weight += 1
    again = DistilBertForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(again.get_input_embeddings().weight, model.get_input_embeddings().weight)


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


def test_a_typo_is_a_type_error(tmp_path):
    _, model = pair("DistilBertModel", "k16")
    model.save_pretrained(tmp_path)
    with pytest.raises(TypeError, match="'num_lables'"):
        DistilBertModel.from_pretrained(tmp_path, num_lables=3)
    with pytest.raises(ValueError, match="'int8' is not a dtype of weights: choose"):
        DistilBertModel.from_pretrained(tmp_path, dtype="int8")
    with pytest.raises(ValueError, match="torch_dtype='float32' contradicts dtype='float16'"):
        DistilBertModel.from_pretrained(tmp_path, dtype="float16", torch_dtype="float32")


@pytest.mark.parametrize("dtype", ["float16", "torch.float16", torch.float16])
def test_both_names_of_the_dtype(dtype, tmp_path):
    _, model = pair("DistilBertModel", "k16")
    model.save_pretrained(tmp_path)
    load = DistilBertModel.from_pretrained
    assert load(tmp_path, dtype=dtype, torch_dtype=torch.float16).dtype == torch.float16


def test_config_fields_reach_the_model(tmp_path):
    _, model = pair("DistilBertModel", "k40-tanh")
    model.save_pretrained(tmp_path)
    loaded = DistilBertModel.from_pretrained(tmp_path, dropout=0.0, attention_dropout=0.4)
    shorter = quiet(DistilBertModel, tmp_path, num_hidden_layers=1)
    assert len(shorter.transformer.layer) == shorter.config.n_layers == 1
    assert (loaded.config.dropout, loaded.config.attention_dropout) == (0.0, 0.4)
    dropouts = {m.p for m in loaded.modules() if isinstance(m, nn.Dropout)}
    assert dropouts == {0.0}
    assert loaded.transformer.layer[0].attention.dropout_p == 0.4


def test_one_tensor_under_two_names(tmp_path):
    """A pickle shares their memory; two untied parameters must not."""
    _, model = pair("DistilBertForMaskedLM", "k16")
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    loaded = DistilBertForMaskedLM.from_pretrained(tmp_path, tie_word_embeddings=False)
    with torch.no_grad():
        loaded.vocab_projector.weight.zero_()
    assert (loaded.get_input_embeddings().weight != 0).any()
    loaded.save_pretrained(tmp_path / "again")


def test_the_caller_who_takes_the_info_gets_no_warning(tmp_path, recwarn):
    _, encoder = pair("DistilBertModel", "k16")
    encoder.save_pretrained(tmp_path)
    DistilBertForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not recwarn.list


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
