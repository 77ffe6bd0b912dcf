r"""The objective of fine-tuning: a head's loss on labels, and if wanted on a teacher's answers.

    batch --model--> logits --rows--> one distribution a row --> task: held to the labels
                                                               teacher: held to a teacher's logits

The losses are the heads' own, as sums. A row is a text, a token, the start or the end of an answer,
or a question with its choices. The teacher's part is the second step of DistilBERT's recipe, which
did it for SQuAD; here it is there for every head, and needs no labels.

    single label, tags, answers, choices   cross-entropy     T^2 KL(teacher || student)
    several labels                         binary, each      T^2 KL of each label's two outcomes
    regression                             squared error     squared difference

Source: Hinton et al. 2015, arXiv 1503.02531; Sanh et al. 2019, arXiv 1910.01108, section 3.
Not here: examples and batches (`examples.py`), the run (`finetuning.py`).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minidistil.distillation.losses import binary_divergence, divergence
from minidistil.heads import DistilBertForQuestionAnswering
from minidistil.heads.base import IGNORE_INDEX, DistilBertHead, widened
from minidistil.training.objective import Batch, Objective

LABELS = ("labels", "start_positions", "end_positions")


class HeadObjective(Objective):
    """A model with a head, its labels, and perhaps a teacher with the same head."""

    def __init__(
        self,
        model: DistilBertHead,
        problem_type: str = "single_label_classification",
        *,
        class_weights: Tensor | None = None,
        teacher: DistilBertHead | None = None,
        alpha_task: float = 0.5,
        alpha_teacher: float = 0.5,
        temperature: float = 2.0,
    ) -> None:
        """Say what is minimised.

        Args:
            model: Any head but that of masked language modelling.
            problem_type: As in `DistilBertConfig`; heads other than sequence classification have
                single labels.
            class_weights: (num_labels,), the weight of each class in the mean; for single labels.
            teacher: The same head and label map; is put in eval mode, and never learns.
            alpha_task: Weight of the labels, where there is a teacher.
            alpha_teacher: Weight of the teacher.
            temperature: T.

        Raises:
            ValueError: A teacher of another head or other labels, weights that do not fit, a
                temperature that is not above 0.
        """
        super().__init__()
        self.model, self.problem_type, self.temperature = model, problem_type, temperature
        self.weights = {"task": 1.0}
        if teacher is not None:
            if not temperature > 0:
                raise ValueError(f"temperature is {temperature}, expected more than 0")
            for name, alpha in (("alpha_task", alpha_task), ("alpha_teacher", alpha_teacher)):
                if not 0 <= alpha < float("inf"):
                    raise ValueError(f"{name} is {alpha}, expected 0 or more")
            if not alpha_task and not alpha_teacher:
                raise ValueError(
                    "alpha_task and alpha_teacher are both 0: there is nothing to learn from"
                )
            if type(teacher) is not type(model) or teacher.config.id2label != model.config.id2label:
                raise ValueError(
                    f"the teacher is a {type(teacher).__name__} with labels "
                    f"{[*teacher.config.id2label.values()]}, the student a {type(model).__name__} "
                    f"with {[*model.config.id2label.values()]}: they must be the same"
                )
            self.weights = {"task": alpha_task, "teacher": alpha_teacher}
            self.weights = {name: weight for name, weight in self.weights.items() if weight}
            teacher.eval().requires_grad_(False)
        # In a list: the teacher is no part of what is trained, saved or kept in step by DDP.
        self._teacher = [teacher]
        if class_weights is not None and problem_type != "single_label_classification":
            raise ValueError(f"class weights are for single labels, not {problem_type}")
        self.register_buffer("class_weights", class_weights, persistent=False)

    @property
    def student(self) -> DistilBertHead:
        """The model that learns."""
        return self.model

    def counts(self, batch: Batch) -> dict[str, float]:
        """Labels (weighed, where classes are), and rows that the teacher answers."""
        labels = self._labels(batch)
        if self.problem_type == "single_label_classification":
            taught = labels[labels != IGNORE_INDEX]
            weights: Any = self.class_weights
            total = len(taught) if weights is None else float(weights[taught].sum())
        else:
            total = int((~labels.isnan()).sum())
        counts = {"task": total, "teacher": labels.numel()}
        return {name: counts[name] for name in self.weights}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The sum of each loss."""
        inputs = {name: value for name, value in batch.items() if name not in LABELS}
        logits = logit_rows(self.model, inputs)
        sums = {}
        if "task" in self.weights:
            sums["task"] = self._task(logits, self._labels(batch))
        (teacher,) = self._teacher
        if "teacher" in self.weights and teacher is not None:
            with torch.no_grad():
                target = logit_rows(teacher, inputs)
            compare = {
                "single_label_classification": divergence,
                "multi_label_classification": binary_divergence,
            }.get(self.problem_type)
            sums["teacher"] = (
                F.mse_loss(logits, target, reduction="sum")
                if compare is None
                else compare(logits, target, self.temperature)
            )
        return sums

    def _task(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.problem_type == "single_label_classification":
            weights: Any = self.class_weights
            return F.cross_entropy(
                logits, labels, weights, ignore_index=IGNORE_INDEX, reduction="sum"
            )
        taught = ~labels.isnan()
        logits, labels = logits.reshape(labels.shape)[taught], labels[taught].to(logits.dtype)
        if self.problem_type == "regression":
            return F.mse_loss(logits, labels, reduction="sum")
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")

    def _labels(self, batch: Batch) -> Tensor:
        """The label of every row of `logit_rows`."""
        if isinstance(self.model, DistilBertForQuestionAnswering):
            lengths = batch["cu_seqlens"].diff()
            places = torch.cat((batch["start_positions"], batch["end_positions"]))
            return places.masked_fill(places >= lengths.repeat(2), IGNORE_INDEX)
        return batch["labels"]


def logit_rows(model: DistilBertHead, inputs: Batch) -> Tensor:
    """Logits in float32 or wider, a distribution a row: (rows, classes).

    A row of question answering is over the S tokens of a window, first the starts of all windows,
    then the ends; past the end of a window stands -inf.
    """
    output: Any = model(**inputs, return_dict=True)
    if not isinstance(model, DistilBertForQuestionAnswering):
        return widened(output.logits)
    lengths = inputs["cu_seqlens"].diff()
    real = torch.arange(inputs["max_seqlen"], device=lengths.device) < lengths[:, None]
    both = (output.start_logits, output.end_logits)
    rows = [x.new_full(real.shape, -torch.inf).masked_scatter(real, x) for x in both]
    return widened(torch.cat(rows))
