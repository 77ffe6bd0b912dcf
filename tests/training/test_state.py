"""Checkpoints of a run: whole or not there, checked before anything is loaded."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from minidistil import DistilBertForMaskedLM
from minidistil.training import state
from minidistil.training.optimizer import make_optimizer
from tests.helpers.training import masked_batch, tiny_masked_lm

RECORD = {"settings": {"seed": 1, "steps": 9}, "environment": {"threads": 2}}


@pytest.fixture
def trained():
    """A model after one step, and its optimizer."""
    model = tiny_masked_lm()
    optimizer = make_optimizer(model, 1e-3)
    model(**masked_batch(0)).loss.backward()
    optimizer.step()
    return model, optimizer


@pytest.fixture
def saved(trained, tmp_path):
    state.save_checkpoint(tmp_path, *trained, {"step": 3, **RECORD})
    return state.last_checkpoint(tmp_path)


def test_round_trip(trained, saved):
    model, optimizer = trained
    fresh = tiny_masked_lm()
    fresh_optimizer = make_optimizer(fresh, 1e-3)
    assert state.load_checkpoint(saved, fresh, fresh_optimizer, RECORD) == (3, False)
    for (name, p), q in zip(model.named_parameters(), fresh.parameters(), strict=True):
        assert torch.equal(p, q), name
        for key, value in optimizer.state[p].items():
            assert torch.equal(value, fresh_optimizer.state[q][key]), (name, key)
    assert fresh.vocab_projector.weight is fresh.get_input_embeddings().weight


def test_a_checkpoint_is_a_model(trained, saved):
    model = DistilBertForMaskedLM.from_pretrained(saved)
    batch = masked_batch(1)
    del batch["labels"]
    assert torch.equal(model(**batch).logits, trained[0].eval()(**batch).logits)


def test_only_the_last_is_kept(trained, saved, tmp_path):
    state.save_checkpoint(tmp_path, *trained, {"step": 10, **RECORD})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]


def test_a_failure_leaves_the_old_one(trained, saved, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state.safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        state.save_checkpoint(tmp_path, *trained, {"step": 4, **RECORD})
    assert state.last_checkpoint(tmp_path) == saved
    assert state.load_checkpoint(saved, *trained, RECORD) == (3, False)


def test_what_a_crash_left_behind_is_no_checkpoint(trained, saved, tmp_path):
    shutil.copytree(saved, tmp_path / ".unfinished")
    (tmp_path / ".unfinished" / "state.json").unlink()
    assert state.last_checkpoint(tmp_path) == saved
    state.save_checkpoint(tmp_path, *trained, {"step": 5, **RECORD})
    assert not (tmp_path / ".unfinished").exists()


def test_other_settings_are_refused(trained, saved):
    other = RECORD | {"settings": {"seed": 2, "steps": 9}}
    with pytest.raises(ValueError, match="was made with seed = 1, and this run has 2"):
        state.load_checkpoint(saved, *trained, other)


def test_another_environment_is_a_warning(trained, saved):
    with pytest.warns(UserWarning, match="threads = 2, and goes on with 1"):
        state.load_checkpoint(saved, *trained, RECORD | {"environment": {"threads": 1}})


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
def test_a_truncated_file(trained, saved, name):
    file = saved / name
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"step-00000003 is damaged"):
        state.load_checkpoint(saved, *trained, RECORD)


def test_a_finished_run_has_no_moments(trained, saved, tmp_path):
    """Half the room; weights and settings are read, and checked, as before."""
    state.finish_checkpoint(tmp_path)
    names = {path.name for path in saved.iterdir()}
    assert names == {"config.json", "model.safetensors", "state.json"}
    fresh = tiny_masked_lm()
    assert state.load_checkpoint(saved, fresh, make_optimizer(fresh, 1e-3), RECORD) == (3, True)
    for p, q in zip(trained[0].parameters(), fresh.parameters(), strict=True):
        assert torch.equal(p, q)
    with pytest.raises(ValueError, match="was made with seed = 1"):
        state.load_checkpoint(saved, *trained, RECORD | {"settings": {"seed": 2}})
    state.finish_checkpoint(tmp_path)
    state.finish_checkpoint(tmp_path / "without a run")


def test_a_run_killed_while_it_finishes(trained, saved, tmp_path, monkeypatch):
    """After each of the two steps the checkpoint is good, and finishing again ends it."""

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    for target, name, finished in ((state, "write_json", False), (Path, "unlink", True)):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(target, name, killed)
            state.finish_checkpoint(tmp_path)
        assert (saved / "optimizer.safetensors").exists()
        assert state.load_checkpoint(saved, *trained, RECORD) == (3, finished)
    state.finish_checkpoint(tmp_path)
    assert not (saved / "optimizer.safetensors").exists()


def test_moments_that_are_lost_are_no_finished_run(trained, saved):
    (saved / "optimizer.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"optimizer\.safetensors"):
        state.load_checkpoint(saved, *trained, RECORD)


def test_a_model_of_another_shape(saved):
    other = tiny_masked_lm(layers=3)
    with pytest.raises(ValueError, match=r"does not fit the model: .*layer.2"):
        state.load_checkpoint(saved, other, make_optimizer(other, 1e-3), RECORD)


def test_nothing_is_pickled(saved):
    names = {path.name for path in saved.iterdir()}
    assert names == {"config.json", "model.safetensors", "optimizer.safetensors", "state.json"}
    assert json.loads((saved / "state.json").read_text())["step"] == 3


def test_environment():
    here = state.environment(torch.device("cpu"))
    assert here["threads"] == torch.get_num_threads() and here["torch"] == torch.__version__
