"""Fine-tuning: a checkpoint, a head and labelled records in, a trained checkpoint out.

    records --make_examples--> examples --ExampleBatches--> Trainer --evaluate--> the best epoch

After every epoch the model is scored on records that it does not learn from, and the best is kept.

Source of the defaults: Devlin et al. 2018, A.3.
Not here: what is minimised (`head_objective.py`), the loop (`trainer.py`), scores (`metrics.py`).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minidistil.arguments import whole
from minidistil.checkpoints.files import staged
from minidistil.distillation.batches import BatchPlan
from minidistil.heads.base import IGNORE_INDEX, DistilBertHead
from minidistil.tokenization import DistilBertTokenizer
from minidistil.training import fingerprints, processes
from minidistil.training.evaluation import check_scorer, evaluate
from minidistil.training.examples import Example, collate, make_examples
from minidistil.training.head_objective import HeadObjective
from minidistil.training.log import read_log
from minidistil.training.objective import Batch
from minidistil.training.records import Record
from minidistil.training.settings import TrainingSettings
from minidistil.training.trainer import Trainer

# The score that says which epoch is best: the first of these that a task has. More is better.
BEST = ("f1", "accuracy", "f1_macro", "spearman")


@dataclass(frozen=True)
class Tuning:
    """What a fine-tuned model depends on, besides checkpoint and data.

    Attributes:
        epochs: At most so many passes over the data.
        patience: Epochs without a better score that end a run.
        batch_size: Examples of a process in a batch.
        accumulation: Batches of a process to a step.
        max_length: Of a row, in tokens; None is what the model takes.
        learning_rate: At the end of the warm-up.
        warmup: Share of the steps in which it rises.
        weight_decay: Of matrices.
        max_grad_norm: Longer gradients are shortened to this norm.
        balanced: Weigh classes by how rare they are: n / (classes * n_class).
        alpha_task: Weight of the labels, where there is a teacher.
        alpha_teacher: Weight of the teacher.
        temperature: Of the teacher's answers.
        precision: "float32" or "bfloat16".
        seed: Of the order, a new head and dropout.

    Raises:
        ValueError: A number that is too small.
    """

    epochs: int = 3
    patience: int = 2
    batch_size: int = 32
    accumulation: int = 1
    max_length: int | None = None
    learning_rate: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    balanced: bool = False
    alpha_task: float = 0.5
    alpha_teacher: float = 0.5
    temperature: float = 2.0
    precision: str = "float32"
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "batch_size", "accumulation"):
            whole(name, getattr(self, name), least=1)
        if self.max_length is not None:
            whole("max_length", self.max_length, least=3)


class ExampleBatches:
    """A `Source` of batches of examples in random order, another in every epoch."""

    def __init__(self, examples: Sequence[Example], tuning: Tuning) -> None:
        self.examples, self.accumulation = examples, tuning.accumulation
        self.plan = BatchPlan(
            np.ones(len(examples), np.int64),  # lengths don't matter to packed batches
            batch_size=tuning.batch_size,
            seed=tuning.seed,
            rank=processes.rank(),
            world_size=processes.world_size(),
        )
        self.steps_per_epoch = math.ceil(len(self.plan.epoch(0)) / self.accumulation)

    def batches(self, step: int) -> list[Batch]:
        """The batches of a step, a function of its number alone."""
        epoch, index = divmod(step, self.steps_per_epoch)
        chosen = self.plan.epoch(epoch)[index * self.accumulation :][: self.accumulation]
        return [collate([self.examples[int(i)] for i in numbers]) for numbers in chosen]


def finetune(
    model: DistilBertHead,
    tokenizer: DistilBertTokenizer,
    records: Sequence[Record],
    folder: Path,
    tuning: Tuning = Tuning(),
    *,
    held_out: Sequence[Record] = (),
    teacher: DistilBertHead | None = None,
    device: torch.device | str = "cpu",
    **running: Any,
) -> list[dict[str, float]]:
    """Train a model and write its best epoch into `folder`, with its tokenizer.

    Args:
        model: With the head of the task and a config that has the label map; it is changed.
        tokenizer: The model's.
        records: To learn from; unlabelled ones are for a teacher.
        folder: Gets the checkpoint, `scores.jsonl`, and what a run keeps while it goes.
        tuning: The settings.
        held_out: To choose the best epoch by; without them it is the last.
        teacher: Teaches, too: the same head and labels.
        device: Where to train.
        **running: As in `Trainer`: checkpoint_every, log_every, tensorboard, compiled.

    Returns:
        The scores of each epoch; empty without held-out records.

    Raises:
        ValueError: What does not fit, or a package that scores need; before training starts.
    """
    config, folder = model.config, Path(folder)
    check_scorer(held_out)
    problem = config.problem_type or "single_label_classification"
    longest = config.max_position_embeddings
    if tuning.max_length is not None and tuning.max_length > longest:
        raise ValueError(f"max_length={tuning.max_length}, but the model takes {longest} tokens")
    form = {
        "max_length": tuning.max_length or longest,
        "id2label": config.id2label,
        "problem_type": problem,
    }
    examples = make_examples(records, tokenizer, **form)
    judged = make_examples(held_out, tokenizer, **form) if held_out else []
    weights = class_weights(examples, config.num_labels) if tuning.balanced else None
    objective = HeadObjective(
        model,
        problem,
        class_weights=weights,
        teacher=None if teacher is None else teacher.to(device),
        alpha_task=tuning.alpha_task,
        alpha_teacher=tuning.alpha_teacher,
        temperature=tuning.temperature,
    ).to(device)
    source = ExampleBatches(examples, tuning)
    settings = TrainingSettings(
        tuning.epochs * source.steps_per_epoch,
        learning_rate=tuning.learning_rate,
        warmup=tuning.warmup,
        weight_decay=tuning.weight_decay,
        betas=(0.9, 0.999),
        max_grad_norm=tuning.max_grad_norm,
        precision=tuning.precision,
        seed=tuning.seed,
    )
    told = asdict(tuning) | {
        "data": fingerprints.of_records(records, held_out),
        "start": fingerprints.of_weights(model.encoder),
        "teacher": teacher and fingerprints.of_weights(teacher),
    }
    trainer = Trainer(objective, source, settings, folder, device=device, describe=told, **running)
    path = folder / "scores.jsonl"
    # Of an interrupted run; lines that no checkpoint knows of are another run's.
    done = trainer.step // source.steps_per_epoch
    scores = [line for line in read_log(path) if line["epoch"] <= done]
    for epoch in range(len(scores) + 1, tuning.epochs + 1):
        if scores and len(scores) - _best(scores) >= tuning.patience:
            break
        trainer.run(until=epoch * source.steps_per_epoch)
        if not held_out and epoch < tuning.epochs:
            continue
        if held_out:
            scores.append({"epoch": epoch, **evaluate(model, held_out, judged)})
        if not scores or _best(scores) == len(scores):
            trainer.save_student()
            if processes.rank() == 0:
                tokenizer.save_pretrained(folder)
        if processes.rank() == 0:
            with staged(folder) as scratch:
                lines = (json.dumps(line) + "\n" for line in scores)
                (scratch / path.name).write_text("".join(lines), encoding="utf-8")
        processes.barrier()
    trainer.finish()
    return scores


def class_weights(examples: Sequence[Example], classes: int) -> Tensor:
    """The weight of each class, n / (classes * n_class): (classes,). One without example has 0.

    Raises:
        ValueError: The labels of the task are no classes.
    """
    given = examples[0].labels.get("labels")
    if len(examples[0].rows) > 1 or not isinstance(given, int | np.ndarray):
        raise ValueError("balanced=True weighs classes, which this task does not have")
    taught = np.concatenate([np.ravel(example.labels["labels"]) for example in examples])
    counts = np.bincount(taught[taught != IGNORE_INDEX], minlength=classes)
    weights = np.divide(counts.sum(), classes * counts, where=counts > 0, out=np.zeros(classes))
    return torch.from_numpy(weights).float()


def _best(scores: Sequence[dict[str, float]]) -> int:
    """The number, from 1, of the epoch with the best score; the first of several."""
    name = next(name for name in BEST if name in scores[0])
    best = max(scores, key=lambda line: line[name])
    return scores.index(best) + 1
