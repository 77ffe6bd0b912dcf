"""Loading: base <-> head, both libraries, old names, dtypes."""

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
from minidistil.embeddings import sinusoidal_table
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


@pytest.mark.parametrize("said", ["bfloat16", None])
def test_the_dtype_of_the_config_goes_before_that_of_the_weights(said, tmp_path):
    _, model = pair("DistilBertModel", "k16")
    model.to(torch.float16).save_pretrained(tmp_path)
    saved = read_json(tmp_path / "config.json")
    saved.pop("dtype")
    write_json(tmp_path / "config.json", saved if said is None else saved | {"dtype": said})
    loaded = DistilBertModel.from_pretrained(tmp_path)
    assert loaded.dtype == (torch.float16 if said is None else torch.bfloat16)


def test_sinusoidal_positions_of_another_length_are_computed(tmp_path):
    _, model = pair("DistilBertModel", "k32-sinusoidal")
    model.save_pretrained(tmp_path)
    length = model.config.max_position_embeddings + 5
    fields = {"max_position_embeddings": length, "ignore_mismatched_sizes": True}
    table = quiet(DistilBertModel, tmp_path, **fields).get_position_embeddings().weight
    assert torch.equal(table, sinusoidal_table(length, model.config.dim))


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
