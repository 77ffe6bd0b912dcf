r"""Distillation of whole sentences: an encoder learns what two teachers say of a text.

    TokenFile --vectors' teacher, labels' teacher, once--> Answers --AnsweredBatches--> batch
    batch --student--> mean of the hidden states: held to the vector   1 - cos(m, v)
                   --> the head's logits:         held to the logits   T^2 KL(teacher || student)

A teacher of sentences says one thing of a text, its vector, and that is what the student is held
to: a token's own state may be whatever serves the mean. The head reads [CLS], one token of many, so
that one encoder has room for both. The answers are computed once and kept: a teacher of six layers
costs more than a student of three, and would say the same in every epoch.

Source: Reimers and Gurevych 2020, arXiv 2004.09813, where a student is held to its teacher's
sentence vectors; the cosine in place of their squared distance, since vectors are used by angle.
Not here: the loop (`minidistil.training.trainer`), texts and judgement (`minidistil.reproduction`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from minidistil.checkpoints.files import staged
from minidistil.distillation import losses
from minidistil.distillation.batches import BatchPlan, pack
from minidistil.distillation.data import TokenFile
from minidistil.heads import DistilBertForSequenceClassification
from minidistil.heads.base import widened
from minidistil.model import DistilBertModel
from minidistil.training import processes
from minidistil.training.head_objective import logit_rows
from minidistil.training.objective import Batch, Objective

INPUTS = ("input_ids", "cu_seqlens", "max_seqlen")


@dataclass(frozen=True)
class Answers:
    """What the teachers say of each text.

    Attributes:
        vectors: float16 (n, D), the mean of the hidden states at length 1.
        logits: float32 (n, C).
    """

    vectors: Tensor
    logits: Tensor


def mean_vectors(hidden: Float[Tensor, "N D"], cu_seqlens: Int[Tensor, " ends"]) -> Tensor:
    """The mean of each sequence's hidden states, (B, D), in float32 or wider."""
    return torch.segment_reduce(widened(hidden), "mean", lengths=cu_seqlens.diff().long())


def ask(
    data: TokenFile,
    teacher: DistilBertModel,
    labeller: DistilBertForSequenceClassification,
    file: Path,
    *,
    tokens_per_batch: int = 2048,
) -> Answers:
    """Ask both teachers about every text, or read from `file` what they said.

    Args:
        data: The texts.
        teacher: Says vectors.
        labeller: Says logits.
        file: A safetensors file, made where it does not exist.
        tokens_per_batch: At most so many tokens go through a teacher at a time.

    Raises:
        ValueError: `file` is damaged, or holds answers for another number of texts.
    """
    if not file.exists():
        vectors = torch.empty(len(data), teacher.config.dim, dtype=torch.float16)
        logits = torch.empty(len(data), labeller.config.num_labels)
        plan = BatchPlan(data.lengths, tokens_per_batch=tokens_per_batch, seed=0).epoch(0)
        teacher.eval()
        labeller.eval()
        with torch.inference_mode():
            for numbers in tqdm(plan, desc="asking the teachers", unit="batch", disable=None):
                batch: Batch = pack([data[int(number)] for number in numbers])
                hidden = teacher(**batch).last_hidden_state
                means = mean_vectors(hidden, batch["cu_seqlens"])
                where = torch.from_numpy(numbers)
                vectors[where] = torch.nn.functional.normalize(means).half()
                logits[where] = logit_rows(labeller, batch)
        with staged(file.parent) as scratch:
            save_file({"vectors": vectors, "logits": logits}, scratch / file.name)
    try:
        answers = Answers(**load_file(file))
    except (SafetensorError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error}): remove it, and they are asked") from error
    if len(answers.vectors) != len(data):
        raise ValueError(
            f"{file} answers {len(answers.vectors)} texts, there are {len(data)}: remove it"
        )
    return answers


class AnsweredBatches:
    """A `Source` of packed batches with the teachers' answers.

    Attributes:
        steps: How many there are in all epochs.
    """

    def __init__(
        self, data: TokenFile, answers: Answers, *, tokens_per_batch: int, epochs: int, seed: int
    ) -> None:
        self.data, self.answers = data, answers
        self.plan = BatchPlan(
            data.lengths,
            tokens_per_batch=tokens_per_batch,
            seed=seed,
            rank=processes.rank(),
            world_size=processes.world_size(),
        )
        # Batches are filled in random order: epochs differ by a batch or two.
        self.ends = np.cumsum([len(self.plan.epoch(number)) for number in range(epochs)])
        self.steps = int(self.ends[-1])

    def batches(self, step: int) -> list[Batch]:
        """The batch of a step, a function of its number alone."""
        epoch = int(np.searchsorted(self.ends, step, side="right"))
        numbers = self.plan.epoch(epoch)[step - int(self.ends[epoch])]  # from the epoch's end
        where = torch.from_numpy(numbers)
        return [
            pack([self.data[int(number)] for number in numbers])
            | {"vectors": self.answers.vectors[where], "logits": self.answers.logits[where]}
        ]


class SentenceDistillation(Objective):
    """A student with a classification head, and the answers of its teachers in the batch."""

    def __init__(
        self,
        student: DistilBertForSequenceClassification,
        *,
        alpha_vector: float = 5.0,
        alpha_label: float = 1.0,
        temperature: float = 2.0,
    ) -> None:
        """Say what is minimised.

        Args:
            student: As wide as the vectors, with as many labels as the logits.
            alpha_vector: Weight of 1 - cos.
            alpha_label: Weight of T^2 KL.
            temperature: T.
        """
        super().__init__()
        self.model, self.temperature = student, temperature
        self.weights = {"vector": alpha_vector, "label": alpha_label}

    @property
    def student(self) -> DistilBertForSequenceClassification:
        """The model that learns."""
        return self.model

    def counts(self, batch: Batch) -> dict[str, float]:
        """Texts, for both."""
        return dict.fromkeys(self.weights, len(batch["vectors"]))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The sum of each loss over the texts."""
        inputs = {name: batch[name] for name in INPUTS}
        output = self.model(**inputs, output_hidden_states=True, return_dict=True)
        means = mean_vectors(output.hidden_states[-1], batch["cu_seqlens"])
        return {
            "vector": losses.cosine(means, batch["vectors"]),
            "label": losses.divergence(output.logits, batch["logits"], self.temperature),
        }
