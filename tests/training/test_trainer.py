"""The loop: one large batch equals many small ones, a resumed run an uninterrupted one."""

import json

import pytest
import torch

from minidistil.distillation.distiller import Distillation
from minidistil.distillation.student import make_student
from minidistil.training.settings import TrainingSettings
from minidistil.training.trainer import Diverged, Trainer
from tests.helpers.training import RandomBatches, masked_batch, tiny_masked_lm


def trainer(folder, source=None, steps=6, dropout=0.1, dtype=torch.float32, **options) -> Trainer:
    torch.manual_seed(0)
    teacher = tiny_masked_lm(3, dropout=dropout, attention_dropout=dropout).to(dtype)
    objective = Distillation(make_student(teacher, [0, 2]), teacher)
    options = {"checkpoint_every": 2, "log_every": 2} | options
    settings = options.pop("settings", {})
    settings = TrainingSettings(steps, **{"learning_rate": 1e-3} | settings)
    return Trainer(objective, source or RandomBatches(2), settings, folder, **options)


def weights(run: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in run.objective.student.named_parameters()}


def assert_equal(ours: dict, theirs: dict) -> None:
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


class Batches:
    """The same batches at every step."""

    def __init__(self, *batches: dict) -> None:
        self.list = batches

    def batches(self, step: int) -> tuple[dict, ...]:
        return self.list


def test_it_learns(tmp_path):
    run = trainer(tmp_path, Batches(masked_batch(0)), steps=40, settings={"learning_rate": 1e-2})
    run.run()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert [line["step"] for line in lines] == [*range(2, 41, 2)]


def test_accumulated_batches_equal_one_large_one(tmp_path):
    """Of different lengths: a mean of means would differ. In float64, as in `worker.py`."""
    parts = [masked_batch(0, (9,)), masked_batch(1, (2, 2)), masked_batch(2, (5,))]
    ends = torch.cat([torch.zeros(1), *(p["cu_seqlens"].diff() for p in parts)]).cumsum(0).int()
    whole = {name: torch.cat([p[name] for p in parts]) for name in ("input_ids", "labels")}
    whole |= {"cu_seqlens": ends, "max_seqlen": 9}
    exact = {"dropout": 0.0, "dtype": torch.float64}
    many = trainer(tmp_path / "many", Batches(*parts), **exact)
    one = trainer(tmp_path / "one", Batches(whole), **exact)
    for _ in range(3):
        ours, theirs = (run.update(run.source.batches(0)) for run in (many, one))
        assert ours == pytest.approx(theirs, rel=1e-9)
    for name, value in weights(many).items():
        torch.testing.assert_close(value, weights(one)[name], rtol=1e-9, atol=1e-9)


def test_a_resumed_run_is_bit_equal(tmp_path):
    """Interrupted after 3 of 6 steps: then from a checkpoint, with dropout on."""
    whole = trainer(tmp_path / "whole")
    whole.run()
    trainer(tmp_path / "parts").run(until=3)
    rest = trainer(tmp_path / "parts")
    assert rest.step == 3
    rest.run()
    assert_equal(weights(whole), weights(rest))
    assert [p.name for p in rest.checkpoints.iterdir()] == ["step-00000006"]


def test_a_run_that_is_done_stays_as_it_is(tmp_path):
    trainer(tmp_path).run()
    again = trainer(tmp_path)
    before = weights(again)
    again.run()
    assert again.step == 6
    assert_equal(before, weights(again))


def test_a_finished_run_trains_no_more(tmp_path):
    """Also where it ended early, as fine-tuning does when nothing gets better."""
    run = trainer(tmp_path)
    run.run(until=4)
    run.finish()
    for done in (run, trainer(tmp_path)):
        before = weights(done)
        done.run()
        assert done.finished and done.step == 4
        assert_equal(before, weights(done))
    assert not [*tmp_path.glob("checkpoints/*/optimizer.safetensors")]


def test_other_settings_are_refused(tmp_path):
    trainer(tmp_path).run(until=2)
    with pytest.raises(ValueError, match=r"learning_rate = 0.001, and this run has 0.002"):
        trainer(tmp_path, settings={"learning_rate": 2e-3})
    with pytest.raises(ValueError, match="data = None, and this run has 'other'"):
        trainer(tmp_path, describe={"data": "other"})


def test_divergence_names_step_batch_and_checkpoint(tmp_path):
    run = trainer(tmp_path)
    run.run(until=2)
    before = weights(run)
    with torch.no_grad():
        run.objective.student.vocab_projector.bias[3] = float("nan")
    with pytest.raises(Diverged, match=r"step 3 of 6 .*token ids \[\[.*step-00000002"):
        run.run()
    del before["vocab_projector.bias"]
    assert_equal(before, weights(run))
    assert run.step == 2


def test_gradients_are_clipped(tmp_path):
    run = trainer(tmp_path, settings={"max_grad_norm": 0.01})
    measured = run.update(run.source.batches(0))
    assert measured["grad_norm"] > 0.01
    norm = sum(p.grad.square().sum() for p in run.objective.student.parameters()).sqrt()
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


def test_a_step_without_anything_to_learn(tmp_path):
    batch = masked_batch(0)
    batch["labels"][:] = -100
    run = trainer(tmp_path, Batches(batch))
    assert run.update([batch])["mlm"] == 0


def test_bfloat16_keeps_the_weights_in_float32(tmp_path):
    exact, coarse = (
        trainer(tmp_path / "a"),
        trainer(tmp_path / "b", settings={"precision": "bfloat16"}),
    )
    ours, theirs = (run.update(run.source.batches(0)) for run in (exact, coarse))
    assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-2) and ours != theirs
    assert all(
        p.dtype == p.grad.dtype == torch.float32 for p in coarse.objective.student.parameters()
    )


def test_gradient_checkpointing_changes_nothing(tmp_path):
    plain, thrifty = trainer(tmp_path / "a"), trainer(tmp_path / "b")
    thrifty.objective.student.gradient_checkpointing_enable()
    for run in (plain, thrifty):
        run.update(run.source.batches(0))
    for name, value in weights(plain).items():
        torch.testing.assert_close(value, weights(thrifty)[name], rtol=1e-6, atol=1e-7)


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="needs pip install 'minidistil[train]'")
    trainer(tmp_path, steps=2, tensorboard=True).run()
    assert [*(tmp_path / "tensorboard").glob("events.*")]
