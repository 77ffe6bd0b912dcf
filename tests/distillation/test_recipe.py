"""The whole recipe on a small corpus: it learns, it resumes, it is killed at random moments."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minidistil import DistilBertForMaskedLM
from minidistil.distillation.distiller import LossWeights
from minidistil.distillation.recipe import Recipe, distill, load_teacher
from minidistil.training.log import read_log
from tests.helpers.training import tiny_masked_lm, token_file

ROOT = Path(__file__).parents[2]
ENV = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}
RECIPE = Recipe(layers=(0, 2), epochs=4, tokens_per_batch=60, accumulation=2, learning_rate=3e-3)


@pytest.fixture
def data(tmp_path):
    return token_file(tmp_path / "tokens", sequences=60)


def teacher() -> DistilBertForMaskedLM:
    torch.manual_seed(0)
    return tiny_masked_lm(3)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


def test_a_student_learns_and_is_a_checkpoint(data, tmp_path):
    student = distill(teacher(), data, tmp_path / "run", RECIPE, log_every=1)
    log = read_log(tmp_path / "run" / "log.jsonl")
    # Not mlm: the few words of one step say little.
    for name in ("ce", "cos"):
        first, last = (sum(line[name] for line in part) for part in (log[:3], log[-3:]))
        assert last < 0.8 * first, name
    assert not student.training
    loaded = DistilBertForMaskedLM.from_pretrained(tmp_path / "run")
    ids = torch.tensor([[2, 9, 10, 11, 3]])
    assert torch.equal(loaded(ids).logits, student(ids).logits)
    assert loaded.config.n_layers == 2


def test_a_finished_run_is_done(data, tmp_path):
    """It returns its student, trains nothing, and keeps nothing that only going on would need."""
    student = distill(teacher(), data, tmp_path / "run", RECIPE)
    log, expected = (tmp_path / "run" / "log.jsonl").read_bytes(), weights(tmp_path / "run")
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert not (checkpoint / "optimizer.safetensors").exists()
    again = distill(teacher(), data, tmp_path / "run", RECIPE)
    for p, q in zip(student.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == log
    assert all(torch.equal(x, weights(tmp_path / "run")[name]) for name, x in expected.items())


def test_another_recipe_or_corpus_in_the_same_folder_is_refused(data, tmp_path):
    distill(teacher(), data, tmp_path / "run", RECIPE)
    with pytest.raises(ValueError, match="temperature = 2.0, and this run has 4.0"):
        distill(teacher(), data, tmp_path / "run", Recipe(**vars(RECIPE) | {"temperature": 4.0}))
    other = token_file(tmp_path / "other", sequences=61)
    with pytest.raises(ValueError, match="was made with (steps|another data)"):
        distill(teacher(), other, tmp_path / "run", RECIPE)


def test_another_teacher_is_another_run(data, tmp_path):
    """A student of one teacher must not be handed out as that of another."""
    distill(teacher(), data, tmp_path / "run", RECIPE)
    other = teacher()
    with torch.no_grad():
        other.vocab_transform.weight[0, 0] += 1e-3
    with pytest.raises(ValueError, match="was made with another teacher than this run has"):
        distill(other, data, tmp_path / "run", RECIPE)


def test_a_teacher_may_have_a_padded_vocabulary(data, tmp_path):
    larger = teacher()
    larger.resize_token_embeddings(64)
    student = distill(larger, data, tmp_path / "run", Recipe(**vars(RECIPE) | {"epochs": 1}))
    assert student.config.vocab_size == 64


def test_a_half_precision_teacher_is_read_in_float32(tmp_path):
    teacher().bfloat16().save_pretrained(tmp_path)
    assert load_teacher(str(tmp_path), LossWeights()).dtype == torch.float32


def test_what_does_not_fit(data, tmp_path):
    smaller = teacher()
    smaller.resize_token_embeddings(40)
    with pytest.raises(ValueError, match="50 words, the teacher has 40"):
        distill(smaller, data, tmp_path / "run", RECIPE)
    short = teacher()
    short.resize_position_embeddings(8)
    with pytest.raises(ValueError, match=r"a sequence of \d+ tokens, the teacher takes 8"):
        distill(short, data, tmp_path / "run", RECIPE)
    with pytest.raises(ValueError, match="embeddings.* is torch.bfloat16, in which small updates"):
        distill(teacher().bfloat16(), data, tmp_path / "run", RECIPE)
    with pytest.raises(ValueError, match="epochs=0 is no whole number from 1 up"):
        Recipe(epochs=0)
    assert not (tmp_path / "run").exists()


COMPILED = """
import sys
from pathlib import Path
import torch
from minidistil.distillation.data import TokenFile
from minidistil.distillation.recipe import Recipe, distill
from minidistil.training.log import read_log
from tests.distillation.test_recipe import RECIPE
from tests.helpers.training import tiny_masked_lm
# Without a C++ compiler: what is asked is whether padded batches give the same losses.
compile = torch.compile
torch.compile = lambda module: compile(module, backend="aot_eager", dynamic=True)
recipe = Recipe(**vars(RECIPE) | {"epochs": 1})
for compiled in (False, True):
    torch.manual_seed(0)
    folder = Path(sys.argv[2]) / str(compiled)
    teacher = tiny_masked_lm(3, dropout=0.0, attention_dropout=0.0)
    distill(teacher, TokenFile(sys.argv[1]), folder, recipe, compiled=compiled, log_every=1)
    print(*(line["loss"] for line in read_log(folder / "log.jsonl")))
"""


@pytest.mark.slow
def test_compiled_padded_batches_equal_packed_ones(tmp_path):
    """In a process without the checker of shapes, which Dynamo can't trace."""
    data = token_file(tmp_path / "tokens", 60, lengths=1)  # of one length: the same batches
    command = [sys.executable, "-c", COMPILED, str(data.folder), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    packed, padded = ([float(x) for x in line.split()] for line in done.stdout.splitlines())
    assert len(packed) > 2 and packed == pytest.approx(padded, rel=1e-4)


PROGRAM = """
import sys
from pathlib import Path
import torch
from minidistil.distillation.data import TokenFile
from minidistil.distillation.recipe import distill
from tests.distillation.test_recipe import RECIPE, teacher
torch.set_num_threads(1)
distill(teacher(), TokenFile(sys.argv[1]), Path(sys.argv[2]), RECIPE, checkpoint_every=2)
"""


def start(data, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", PROGRAM, str(data.folder), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=ENV, stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_at_random_moments_it_ends_bit_equal(data, tmp_path):
    """20 runs, each killed once or more with SIGKILL, each resumed until it is done."""
    assert start(data, tmp_path / "whole").wait() == 0
    expected, kills = weights(tmp_path / "whole"), 0
    moments = random.Random(7)
    for number in range(20):
        folder = tmp_path / f"run-{number}"
        while True:
            process = start(data, folder)
            # From the first checkpoint on, a run takes about a second.
            while process.poll() is None and not [*folder.glob("checkpoints/step-*")]:
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 1))
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            if kills > 10 * (number + 1):
                assert start(data, folder).wait() == 0
                break
        assert process.returncode in (0, -signal.SIGKILL)
        ours = weights(folder)
        assert all(torch.equal(ours[name], value) for name, value in expected.items())
    print(f"{kills} kills")
    assert kills >= 20
