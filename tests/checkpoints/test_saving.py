"""Saving: exact, atomic, readable by both libraries, and a law about round trips."""

import json
import subprocess
import sys

import pytest
import safetensors
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidistil
from minidistil import DistilBertConfig, DistilBertForMaskedLM, DistilBertModel
from tests.helpers.reference import CLASSES


def tiny(cls="DistilBertModel", **fields):
    fields = {"vocab_size": 11, "dim": 8, "n_heads": 2, "hidden_dim": 5, "n_layers": 1} | fields
    return getattr(minidistil, cls)(DistilBertConfig(**fields))


@given(
    cls=st.sampled_from(CLASSES),
    layers=st.integers(1, 3),
    sinusoidal=st.booleans(),
    tied=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64]),
    pruned=st.sampled_from([{}, {0: [1]}]),
)
def test_round_trip(tmp_path_factory, cls, layers, sinusoidal, tied, dtype, pruned):
    """load(save(model)) is the model: same config, same names, same bits."""
    folder = tmp_path_factory.mktemp("saved")
    model = tiny(
        cls,
        n_layers=layers,
        sinusoidal_pos_embds=sinusoidal,
        tie_word_embeddings=tied,
        pruned_heads=pruned,
        max_position_embeddings=6,
    ).to(dtype)
    model.save_pretrained(folder)
    again = getattr(minidistil, cls).from_pretrained(folder)
    expected = model.config.to_dict() | {
        "architectures": [cls],
        "dtype": str(dtype).removeprefix("torch."),
    }
    assert again.config.to_dict() == expected
    want, got = model.state_dict(), again.state_dict()
    assert got.keys() == want.keys()
    assert all(torch.equal(got[name], want[name]) for name in want)
    assert [p.requires_grad for p in again.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]


def test_what_is_written(tmp_path):
    tiny("DistilBertForMaskedLM").to(torch.float16).save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["DistilBertForMaskedLM"]
    assert (config["dtype"], config["model_type"]) == ("float16", "distilbert")
    assert "attn_implementation" not in config
    with safetensors.safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert "vocab_projector.weight" not in file.keys()  # noqa: SIM118 (no mapping)


def test_saving_changes_nothing_in_the_model(tmp_path):
    model = tiny()
    before = model.config.to_dict()
    model.save_pretrained(tmp_path)
    assert model.config.to_dict() == before


def test_a_failure_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch):
    """The disk fills up while the new weights are written."""
    old = tiny()
    old.save_pretrained(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr("minidistil.checkpoints.saving.write_json", full)
    with pytest.raises(OSError, match="no space"):
        tiny(dim=16).save_pretrained(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_saving_over_the_folder_one_loaded_from(tmp_path):
    """The weights are mapped from the very file that is replaced."""
    tiny().save_pretrained(tmp_path)
    model = DistilBertModel.from_pretrained(tmp_path)
    with torch.no_grad():
        model.get_input_embeddings().weight += 1
    want = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.save_pretrained(tmp_path)
    again = DistilBertModel.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(again[name], want[name]) for name in want)
    assert torch.equal(
        model.state_dict()["embeddings.word_embeddings.weight"],
        want["embeddings.word_embeddings.weight"],
    )


def test_an_untied_projector_is_written(tmp_path):
    model = tiny("DistilBertForMaskedLM", tie_word_embeddings=False)
    model.save_pretrained(tmp_path)
    again = DistilBertForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(again.vocab_projector.weight, model.vocab_projector.weight)
    assert not torch.equal(again.vocab_projector.weight, again.get_input_embeddings().weight)


@pytest.mark.parametrize("tied", [True, False])
def test_a_config_changed_by_hand(tied, tmp_path):
    """Untied: the shared weight is written for both. Tied, but two weights: both are kept."""
    model = tiny("DistilBertForMaskedLM", tie_word_embeddings=not tied)
    model.config.tie_word_embeddings = tied
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["tie_word_embeddings"] is False
    again, info = DistilBertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert torch.equal(again.vocab_projector.weight, model.vocab_projector.weight)
    assert torch.equal(again.get_input_embeddings().weight, model.get_input_embeddings().weight)
    assert again.vocab_projector.weight is not again.get_input_embeddings().weight


def test_weights_without_numbers(tmp_path):
    with pytest.raises(ValueError, match="weights on the device 'meta' have no numbers to save"):
        tiny().to("meta").save_pretrained(tmp_path)
    assert not any(tmp_path.iterdir())


def test_labels_that_were_renamed_by_half(tmp_path):
    """The inverse of the old names would be written beside the new ones."""
    model = tiny("DistilBertForSequenceClassification")
    model.config.id2label = {0: "NEG", 1: "POS"}
    with pytest.raises(ValueError, match=r"config\.label2id must be null or the inverse of"):
        model.save_pretrained(tmp_path)
    model.config.label2id = None
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["label2id"] == {"NEG": 0, "POS": 1}


def test_no_folder_is_not_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny()
    for what in (model, model.config):
        with pytest.raises(ValueError, match="'' is no folder"):
            what.save_pretrained("")
    assert not any(tmp_path.iterdir())
    model.save_pretrained(".")
    assert (tmp_path / "config.json").is_file()


def test_a_full_disk_leaves_what_was_there(tmp_path):
    """The system's limit on the size of a file stands for a full disk: both fail in a write."""
    pytest.importorskip("resource", reason="limits the size of a file")
    tiny().save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    code = (
        "import resource, sys, minidistil; "
        "model = minidistil.DistilBertModel.from_pretrained(sys.argv[1]); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (99, 99)); model.save_pretrained(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith(f"OSError: {tmp_path} can't be written: ")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
