"""What each process of `test_processes.py` runs: five steps on its share of the batches.

    python -m torch.distributed.run --nproc-per-node 2 -m tests.training.worker FOLDER ddp

Rank 0 writes `FOLDER/result.safetensors`: the gradients of step 1, the weights after step 5, and
the loss of each step.
"""

import os
import sys
from pathlib import Path

import safetensors.torch
import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
)
from torch.distributed.tensor import DTensor

from minidistil.distillation.distiller import Distillation
from minidistil.distillation.student import make_student
from minidistil.training import processes
from minidistil.training.settings import TrainingSettings
from minidistil.training.trainer import Trainer
from tests.helpers.training import masked_batch, tiny_masked_lm

STEPS = 5
# Of different lengths, so that a mean of means would show.
LENGTHS = [(9, 2), (3, 3, 3, 1), (12,), (2, 5)]


class Share:
    """Four batches a step, each to one rank; alone, all to it."""

    def batches(self, step: int) -> list[dict]:
        every = [masked_batch(10 * step + i, lengths) for i, lengths in enumerate(LENGTHS)]
        return every[processes.rank() :: processes.world_size()]


def train(folder: Path, parallel: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    # Dropout would draw other numbers on another rank.
    # In float64: AdamW divides a gradient by its size, and so makes large what is rounding alone,
    # as that of a key's bias, which is 0 in mathematics.
    teacher = tiny_masked_lm(3, dropout=0.0, attention_dropout=0.0).double()
    student = make_student(teacher, [0, 2])
    objective = Distillation(student, teacher)
    settings = TrainingSettings(STEPS, learning_rate=1e-3, max_grad_norm=0.5)
    trainer = Trainer(objective, Share(), settings, folder, parallel=parallel, log_every=1)
    result, losses = {}, []
    for step in range(STEPS):
        losses.append(trainer.update(trainer.source.batches(step))["loss"])
        if step == 0:
            for name, p in student.named_parameters():
                grad = p.grad.full_tensor() if isinstance(p.grad, DTensor) else p.grad
                result[f"gradient {name}"] = grad.clone()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(student, options=options)
    weights.pop("vocab_projector.weight", None)  # tied, and nothing is gathered to rank 1
    result |= {f"weight {name}": value for name, value in weights.items()}
    return result | {"losses": torch.tensor(losses, dtype=torch.float64)}


if __name__ == "__main__":
    with processes.process_group("cpu"):
        result = train(Path(sys.argv[1]), sys.argv[2])
        file = Path(sys.argv[1]) / "result.safetensors"
        if processes.rank() == 0:
            safetensors.torch.save_file(result, file)
    # No process leaves the group before the others have done their part.
    assert file.exists()
    # Not through the end of the interpreter: where a gloo thread still has a tensor to free, it
    # aborts there (github.com/pytorch/pytorch/pull/179291), and torchrun calls the run failed.
    os._exit(0)
