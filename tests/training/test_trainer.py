"""The loop: one large batch equals many small ones, a resumed run an uninterrupted one."""

import json

import numpy as np
import pytest
import torch

from minidistil import DistilBertConfig, DistilBertForSequenceClassification
from minidistil.distillation.batches import pack
from minidistil.distillation.distiller import Distillation
from minidistil.distillation.student import make_student
from minidistil.training.head_objective import HeadObjective
from minidistil.training.log import read_log
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


def test_a_loss_is_divided_by_what_it_counts_below_1_too(tmp_path):
    """Weights of classes: four rows of a class of weight 0.1 are 0.4 of a term, not one."""
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=50, n_layers=1, n_heads=2, dim=16, hidden_dim=24, num_labels=2, dropout=0.0,
        attention_dropout=0.0, seq_classif_dropout=0.0,
    )  # fmt: skip
    model = DistilBertForSequenceClassification(config)
    batch = pack([np.array([1, 7, 2])] * 4) | {"labels": torch.zeros(4, dtype=torch.long)}
    mean = model(batch["input_ids"].view(4, 3), labels=batch["labels"]).loss.item()
    objective = HeadObjective(model, class_weights=torch.tensor([0.1, 1.0]))
    run = Trainer(objective, Batches(batch), TrainingSettings(1), tmp_path)
    assert run.update([batch])["loss"] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("name", ["checkpoint_every", "log_every"])
def test_every_no_step_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}=0 is no whole number from 1 up"):
        trainer(tmp_path, **{name: 0})


def test_a_checkpoint_of_other_shapes_is_refused(tmp_path):
    trainer(tmp_path, steps=2).run()
    torch.manual_seed(0)
    wider = tiny_masked_lm(2)
    wider.resize_token_embeddings(60)
    with pytest.raises(ValueError, match="does not fit the model: .*word_embeddings"):
        Trainer(
            Distillation(wider, wider),
            RandomBatches(2),
            TrainingSettings(2, learning_rate=1e-3),
            tmp_path,
        )


def test_the_log_of_a_resumed_run_is_that_of_an_uninterrupted_one(tmp_path):
    """A checkpoint between two lines of the log: the means after it are over the same steps."""
    options = {"checkpoint_every": 3, "log_every": 4, "steps": 8}
    trainer(tmp_path / "whole", **options).run()
    trainer(tmp_path / "parts", **options).run(until=3)
    trainer(tmp_path / "parts", **options).run()
    logs = [read_log(tmp_path / name / "log.jsonl") for name in ("whole", "parts")]
    for log in logs:
        for line in log:
            del line["tokens_per_second"]
    assert logs[0] == logs[1] and [line["step"] for line in logs[0]] == [3, 4, 6, 8]


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
