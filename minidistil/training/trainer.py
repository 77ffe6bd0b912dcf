"""The training loop, the same for distillation and fine-tuning.

    source.batches(step) --Trainer.step--> losses, gradients --clip, AdamW--> the next step

One step is one update of the weights, from as many batches as are accumulated. Whatever a step
depends on is a function of its number: its batches, its learning rate, its random numbers. So a run
that was interrupted goes on as if it had not been: equal to the last bit on a CPU with the same
number of threads.

Not here: what is minimised (`objective.py`), what a batch holds (`distillation/`, `finetuning.py`),
what is on disk (`state.py`, `log.py`), how processes talk (`processes.py`).
"""

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from minidistil.arguments import whole
from minidistil.checkpoints.saving import save_model
from minidistil.training import processes
from minidistil.training.log import RunLog
from minidistil.training.objective import Batch, Objective, tokens_of
from minidistil.training.optimizer import linear_factor, make_optimizer
from minidistil.training.settings import TrainingSettings, step_seed
from minidistil.training.state import (
    environment,
    finish_checkpoint,
    full_state,
    last_checkpoint,
    load_checkpoint,
    save_checkpoint,
)


class Source(Protocol):
    """Where batches come from."""

    def batches(self, step: int) -> Sequence[Batch]:
        """The batches of one step on this rank: a function of the number of the step alone."""
        ...


class Diverged(ValueError):
    """A loss or a gradient is not finite."""


class Trainer:
    """A training run in a folder.

    Attributes:
        step: How many updates were made.
        finished: Whether `finish` was called, now or before: nothing is trained any more.
    """

    def __init__(
        self,
        objective: Objective,
        source: Source,
        settings: TrainingSettings,
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        parallel: str = "ddp",
        compiled: bool = False,
        checkpoint_every: int = 1000,
        log_every: int = 50,
        tensorboard: bool = False,
        describe: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare a run, or the rest of one: where `folder` holds a checkpoint, it goes on there.

        Args:
            objective: The model and what it minimises.
            source: Of the batches.
            settings: What the result depends on.
            folder: For checkpoints and log.
            device: Where the objective is, and batches go.
            parallel: "ddp" or "fsdp", for more than one process.
            compiled: Run the objective through torch.compile.
            checkpoint_every: Steps between two checkpoints; there is always one at the end.
            log_every: Steps to a line of the log.
            tensorboard: Also write event files.
            describe: More that the result depends on, such as the data; saved, and checked when
                the run is resumed.

        Raises:
            ValueError: The folder holds a run of other settings, or a damaged checkpoint; or the
                weights are in half precision, in which a small update is none.
        """
        for name, parameter in objective.student.named_parameters():
            if parameter.requires_grad and parameter.dtype not in (torch.float32, torch.float64):
                raise ValueError(
                    f"{name} is {parameter.dtype}, in which small updates are lost: load the model "
                    "with dtype='float32'; precision='bfloat16' computes in half precision"
                )
        self.objective, self.source, self.settings = objective, source, settings
        self.folder, self.checkpoints = folder, folder / "checkpoints"
        self.device = torch.device(device)
        self.checkpoint_every = whole("checkpoint_every", checkpoint_every, least=1)
        self.log_every = whole("log_every", log_every, least=1)
        self.tensorboard = tensorboard
        self.wrapped = processes.in_step(objective, parallel)
        self.module: Any = torch.compile(self.wrapped) if compiled else self.wrapped
        # After the wrapping: FSDP replaces the parameters.
        self.optimizer = make_optimizer(
            objective.student,
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=settings.betas,
            eps=settings.eps,
        )
        # Through JSON, which has no tuples, so that it equals what is read back.
        described = json.loads(json.dumps(asdict(settings) | dict(describe or {})))
        self.record = {"settings": described, "environment": environment(self.device)}
        self.step, self.finished = 0, False
        last = last_checkpoint(self.checkpoints)
        if last is not None:
            self.step, self.finished = load_checkpoint(
                last, objective.student, self.optimizer, self.record
            )
        if sum(processes.summed([self.step], self.device)) != self.step * processes.world_size():
            raise ValueError(
                f"process {processes.rank()} found step {self.step} in {self.checkpoints}, and "
                "others another one: all must see the same folder"
            )

    def run(self, until: int | None = None) -> None:
        """Train up to the step `until`, or to the end.

        Raises:
            Diverged: A loss or gradient that is not finite; nothing was learned from it.
            OSError: Such as a full disk; the last checkpoint is whole.
        """
        steps = self.settings.steps
        until = steps if until is None else min(until, steps)
        if self.finished or self.step >= until:
            return
        self.objective.train()
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            log = None
            if processes.rank() == 0:
                log = RunLog(self.folder, steps, self.step, self.log_every, self.tensorboard)
                stack.callback(log.close)
            while self.step < until:
                measured = self.update(self.source.batches(self.step))
                if log is not None:
                    log.add(self.step, measured)
                if self.step == until or self.step % self.checkpoint_every == 0:
                    if log is not None:
                        log.write(self.step)
                    record = {"step": self.step, **self.record}
                    save_checkpoint(
                        self.checkpoints, self.objective.student, self.optimizer, record
                    )

    def save_student(self) -> None:
        """Write the trained model into the run's folder, as a checkpoint of its own."""
        state: Any = full_state(self.objective.student)
        if processes.rank() == 0:
            save_model(self.objective.student, self.folder, state)
        processes.barrier()

    def finish(self) -> None:
        """Declare the run done, its result being on disk: what going on would need is removed."""
        finish_checkpoint(self.checkpoints)
        self.finished = True

    def update(self, batches: Sequence[Batch]) -> dict[str, float]:
        """One step: the gradient of all `batches` of all processes, then the update.

        Returns:
            The weighted `loss`, its parts, the gradient's norm, the learning rate, the `tokens`.

        Raises:
            Diverged: The loss or the gradient is not finite; the weights are as before.
        """
        settings, weights = self.settings, self.objective.weights
        batches = [to_device(batch, self.device) for batch in batches]
        torch.manual_seed(step_seed(settings.seed, self.step, processes.rank()))  # dropout's
        divisors, tokens = self._global_counts(batches)
        rate = settings.learning_rate * linear_factor(self.step, settings.steps, settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        means = dict.fromkeys(weights, 0.0)
        for number, batch in enumerate(batches, 1):
            bfloat16 = settings.precision == "bfloat16"
            with processes.synchronised(self.wrapped, number == len(batches)):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
                    sums = self.module(batch)
                losses = {name: sums[name] / divisors[name] for name in weights}
                total: Any = sum(weight * losses[name] for name, weight in weights.items())
                # Processes' gradients are averaged where their sum is wanted.
                (total * processes.world_size()).backward()
            for name, loss in losses.items():
                means[name] += loss.item()
        means = dict(zip(means, processes.summed([*means.values()], self.device), strict=True))
        loss = sum(weight * means[name] for name, weight in weights.items())
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm: Any = torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        if not math.isfinite(loss + norm):
            raise self._diverged(means, norm, batches)
        self.optimizer.step()
        self.step += 1
        return {
            "loss": loss, **means, "grad_norm": norm, "learning_rate": rate, "tokens": tokens
        }  # fmt: skip

    def _global_counts(self, batches: Sequence[Batch]) -> tuple[dict[str, float], float]:
        """What each loss of this step is divided by, and the tokens, over all processes."""
        names = [*self.objective.weights]
        counts = [self.objective.counts(batch) for batch in batches]
        ours = [float(sum(count[name] for count in counts)) for name in names]
        ours.append(float(sum(tokens_of(batch) for batch in batches)))
        *totals, tokens = processes.summed(ours, self.device)
        # A loss without a term is 0, with a zero gradient.
        return {name: n if n > 0 else 1.0 for name, n in zip(names, totals, strict=True)}, tokens

    def _diverged(self, means: dict[str, float], norm: float, batches: Sequence[Batch]) -> Diverged:
        losses = ", ".join(f"{name} {value}" for name, value in means.items())
        ids = [batch["input_ids"].flatten()[:12].tolist() for batch in batches]
        last = last_checkpoint(self.checkpoints)
        return Diverged(
            f"step {self.step + 1} of {self.settings.steps} is not finite: {losses}, norm of the "
            f"gradient {norm}; its batches begin with the token ids {ids}; the last good "
            f"checkpoint is {last or 'not yet written'}. A lower learning_rate or max_grad_norm "
            "often helps"
        )


def to_device(batch: Batch, device: torch.device) -> Batch:
    """A batch with its tensors on a device."""
    return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()}
