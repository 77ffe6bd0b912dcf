"""Two processes equal one with the batches of both: DDP and FSDP2, over gloo on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minidistil.training import processes
from minidistil.training.log import read_log
from tests.helpers.training import tiny_masked_lm
from tests.training.test_finetuning import TOKENIZER, data_of, model_of

ROOT = Path(__file__).parents[2]
ENV = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}


def results(folder: Path, parallel: str, *launcher: str) -> dict[str, torch.Tensor]:
    command = [sys.executable, *launcher, "-m", "tests.training.worker", str(folder), parallel]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return safetensors.torch.load_file(folder / "result.safetensors")


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, torch.Tensor]:
    return results(tmp_path_factory.mktemp("alone"), "ddp")


@pytest.mark.parametrize("parallel", processes.PARALLEL)
def test_two_processes_equal_one(parallel, alone, tmp_path):
    """Loss and gradient of step 1, weights after 5, though the shares differ in length."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    both = results(tmp_path, parallel, *launcher)
    assert both.keys() == alone.keys()
    for name, value in alone.items():
        torch.testing.assert_close(both[name], value, rtol=1e-9, atol=1e-9, msg=name)
    # The comparison would see a mean of means: gradients here are not tiny.
    assert max(float(v.abs().max()) for k, v in alone.items() if k.startswith("gradient")) > 1e-3


RESUMED = """
import os, sys
from pathlib import Path
import torch
from minidistil.distillation.distiller import Distillation
from minidistil.distillation.student import make_student
from minidistil.training import processes
from minidistil.training.settings import TrainingSettings
from minidistil.training.trainer import Trainer
from tests.helpers.training import tiny_masked_lm
from tests.training.worker import Share

def trainer(folder):
    torch.manual_seed(0)
    teacher = tiny_masked_lm(3)
    objective = Distillation(make_student(teacher, [0, 2]), teacher)
    settings = TrainingSettings(6, learning_rate=1e-3)
    return Trainer(objective, Share(), settings, Path(sys.argv[1], folder), parallel=sys.argv[2])

with processes.process_group("cpu"):
    for folder, until in (("whole", 6), ("parts", 3), ("parts", 6), ("parts", 6)):
        run = trainer(folder)
        run.run(until)
        if until == 6:
            run.save_student()
            run.finish()
os._exit(0)  # see worker.py
"""


@pytest.mark.slow
@pytest.mark.parametrize("parallel", processes.PARALLEL)
def test_two_processes_resume(parallel, tmp_path):
    """Bit-equal to a run that was not interrupted; what is finished is opened once more."""
    (tmp_path / "program.py").write_text(RESUMED, encoding="utf-8")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    command = [sys.executable, *launcher, str(tmp_path / "program.py"), str(tmp_path), parallel]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    whole, parts = (
        safetensors.torch.load_file(tmp_path / name / "model.safetensors")
        for name in ("whole", "parts")
    )
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_nodes_on_loopback(alone, tmp_path):
    """The documented launch of two machines, both of them this one."""
    port = "29531"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "test",
        "-m", "tests.training.worker", str(tmp_path), "ddp",
    ]  # fmt: skip
    nodes = [
        subprocess.Popen(command, cwd=ROOT, env=ENV, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for node in nodes:
        _, errors = node.communicate(timeout=240)
        assert node.returncode == 0, errors[-3000:]
    both = safetensors.torch.load_file(tmp_path / "result.safetensors")
    for name, value in alone.items():
        torch.testing.assert_close(both[name], value, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.slow
def test_finetune_on_two_processes(tmp_path):
    """The verb joins the group: one model, one table of scores, said once."""
    model = model_of("single")
    model.save_pretrained(tmp_path / "start")
    TOKENIZER.save_pretrained(tmp_path / "start")
    lines = [f"{record.text},{record.label}" for record in data_of("single", 16)]
    table = tmp_path / "train.csv"
    table.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    arguments = ["--model", tmp_path / "start", "--train", table, "--eval", table]
    arguments += ["--output", tmp_path / "mine", "--epochs", 2, "--batch-size", 4]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, "--standalone",
        "-m", "minidistil", "finetune", *arguments,
    ]  # fmt: skip
    done = subprocess.run(
        [*map(str, command)], cwd=ROOT, env=ENV, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.splitlines()
    assert [line.split()[0] for line in said] == ["epoch", "epoch", f"{tmp_path / 'mine'}:"]
    assert len(read_log(tmp_path / "mine" / "scores.jsonl")) == 2
    (checkpoint,) = (tmp_path / "mine" / "checkpoints").iterdir()
    assert checkpoint.name == "step-00000004"  # 16 records, 2 processes of 4: 2 steps an epoch
    assert (tmp_path / "mine" / "model.safetensors").exists()


def test_alone():
    assert (processes.rank(), processes.world_size()) == (0, 1)
    assert processes.summed([1.0, 2.0], torch.device("cpu")) == [1.0, 2.0]
    model = tiny_masked_lm()
    assert processes.in_step(model, "fsdp") is model
    with processes.process_group("cpu") as device:
        assert device.type == "cpu"
    processes.barrier()


def test_errors():
    with pytest.raises(ValueError, match="parallel is 'dpp'"):
        processes.in_step(tiny_masked_lm(), "dpp")
