"""The whole recipe: a teacher and a corpus in, a student out.

    distill(teacher, data, folder, recipe):
        make_student -> Distillation, MaskedBatches -> Trainer -> a checkpoint in `folder`

Source: Sanh et al. 2019, arXiv 1910.01108; the defaults are those of its published command, but for
the size of a batch, which is counted in tokens here.
Not here: each of the parts, which have a file each.
"""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from minidistil.arguments import whole
from minidistil.distillation.data import TokenFile
from minidistil.distillation.distiller import Distillation, LossWeights
from minidistil.distillation.source import MaskedBatches
from minidistil.distillation.student import DISTILBERT_LAYERS, make_student
from minidistil.heads import DistilBertForMaskedLM
from minidistil.model import DistilBertModel
from minidistil.training import fingerprints
from minidistil.training.settings import TrainingSettings
from minidistil.training.trainer import Trainer

Encoder = DistilBertForMaskedLM | DistilBertModel


@dataclass(frozen=True)
class Recipe:
    """What a student depends on, besides its teacher and its corpus.

    Attributes:
        layers: Which layers of the teacher it starts from.
        weights: The factor of each loss.
        temperature: T of the cross-entropy with the teacher.
        masked_only: Hold that cross-entropy to masked tokens.
        epochs: Passes over the corpus.
        tokens_per_batch: At most so many tokens in a batch of one process.
        accumulation: Batches of a process to a step.
        learning_rate: At the end of the warm-up.
        warmup: Share of the steps in which it rises.
        weight_decay: Of matrices.
        max_grad_norm: Longer gradients are shortened to this norm.
        precision: "float32" or "bfloat16".
        seed: Of the order, the masks and dropout.

    Raises:
        ValueError: No epoch, or no batch to a step.
    """

    layers: tuple[int, ...] = DISTILBERT_LAYERS
    weights: LossWeights = field(default_factory=LossWeights)
    temperature: float = 2.0
    masked_only: bool = False
    epochs: int = 3
    tokens_per_batch: int = 4096
    accumulation: int = 1
    learning_rate: float = 5e-4
    warmup: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 5.0
    precision: str = "float32"
    seed: int = 56

    def __post_init__(self) -> None:
        for name in ("epochs", "accumulation"):
            whole(name, getattr(self, name), least=1)


def distill(
    teacher: Encoder,
    data: TokenFile,
    folder: Path,
    recipe: Recipe = Recipe(),
    *,
    student: Encoder | None = None,
    device: torch.device | str = "cpu",
    gradient_checkpointing: bool = False,
    compiled: bool = False,
    **running: Any,
) -> Encoder:
    """Train a student; where `folder` holds part of the run, go on with it.

    Args:
        teacher: With a masked-LM head where ce or mlm has a weight, else without one.
        data: The corpus, tokenized with the teacher's tokenizer.
        folder: Gets checkpoints and a log while training, the student's checkpoint at the end.
        recipe: What the student depends on.
        student: Where it starts, instead of at `recipe.layers` of the teacher.
        device: Where to train.
        gradient_checkpointing: Less memory, a third more time, the same result.
        compiled: Through torch.compile, on padded batches.
        **running: As in `Trainer`: parallel, checkpoint_every, log_every, tensorboard.

    Returns:
        The student, in eval mode.

    Raises:
        ValueError: What does not fit: teacher and corpus, settings, an older run in `folder`.
        Diverged: A loss that is not finite.
    """
    # The teacher may have more rows: a vocabulary is often padded to a rounder number.
    if data.meta["vocab_size"] > teacher.config.vocab_size:
        raise ValueError(
            f"{data.folder} was tokenized with {data.meta['vocab_size']} words, the teacher has "
            f"{teacher.config.vocab_size}: prepare the corpus with the teacher's tokenizer"
        )
    longest = int(data.lengths.max())
    if longest > teacher.config.max_position_embeddings:
        raise ValueError(
            f"{data.folder} has a sequence of {longest} tokens, the teacher takes "
            f"{teacher.config.max_position_embeddings}: prepare it with --max-length"
        )
    torch.manual_seed(recipe.seed)
    student = make_student(teacher, recipe.layers) if student is None else student
    if gradient_checkpointing:
        student.gradient_checkpointing_enable()
    source = MaskedBatches(
        data,
        tokens_per_batch=recipe.tokens_per_batch,
        accumulation=recipe.accumulation,
        seed=recipe.seed,
        padded=compiled,
        masked=bool(recipe.weights.ce or recipe.weights.mlm),
    )
    settings = TrainingSettings(
        source.steps(recipe.epochs),
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        precision=recipe.precision,
        seed=recipe.seed,
    )
    objective = Distillation(
        student.to(device),
        teacher.to(device),
        recipe.weights,
        temperature=recipe.temperature,
        masked_only=recipe.masked_only,
    )
    depends = asdict(recipe) | {
        "data": fingerprint(data),
        "teacher": fingerprints.of_weights(teacher),
        "start": fingerprints.of_weights(student.encoder),
        "compiled": compiled,
    }
    trainer = Trainer(
        objective,
        source,
        settings,
        Path(folder),
        device=device,
        compiled=compiled,
        describe=depends,
        **running,
    )
    trainer.run()
    trainer.save_student()
    trainer.finish()
    return student.eval()


def load_teacher(name: str, weights: LossWeights) -> Encoder:
    """A teacher in float32, with the head that the weights need.

    Args:
        name: Folder or hub id.
        weights: Those of ce and mlm need a masked-LM head.

    Raises:
        ValueError: The checkpoint has no such head.
    """
    if not weights.ce and not weights.mlm:
        return DistilBertModel.from_pretrained(name, dtype="float32")
    model, info = DistilBertForMaskedLM.from_pretrained(
        name, dtype="float32", output_loading_info=True
    )
    if info["missing_keys"]:
        raise ValueError(
            f"{name!r} has no masked-LM head ({', '.join(info['missing_keys'])}), which ce and mlm "
            "need: choose another teacher, or give both a weight of 0"
        )
    return model


def fingerprint(data: TokenFile) -> str:
    """A hash of what a corpus was made with and how much it holds."""
    said = repr(sorted(data.meta.items())) + repr(data.counts.tolist())
    return hashlib.sha256(said.encode()).hexdigest()
