"""The objective of distillation: which rows count, and the losses of `losses.py` on them.

    batch --teacher--> logits, hidden states (no gradient)
          --student--> logits, hidden states --> ce, mlm, cos, mse: sums over rows

The masked-LM head is the most costly layer of a small model: D * V a token, five blocks' worth. It
is computed only for the rows that need it: where the cross-entropy with the teacher (ce) is held to
masked tokens, or weighs nothing, that is 15 % of them.

Source: Sanh et al. 2019, arXiv 1910.01108. Where this departs from the recipe is said in
`docs/distillation.md`.
Not here: the loop (`minidistil.training.trainer`), the data (`data.py`), the masks (`masking.py`).
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from minidistil.distillation import losses
from minidistil.heads import DistilBertForMaskedLM
from minidistil.heads.base import IGNORE_INDEX
from minidistil.model import DistilBertModel
from minidistil.training.objective import Batch, Objective, tokens_of

INPUTS = ("input_ids", "attention_mask", "cu_seqlens", "max_seqlen")


@dataclass(frozen=True)
class LossWeights:
    """The factor of each loss in the total.

    Attributes:
        ce: T^2 KL of the student's logits from the teacher's.
        mlm: Cross-entropy with the masked tokens.
        cos: 1 - cos of the last hidden states.
        mse: Mean squared difference of the last hidden states.

    Raises:
        ValueError: A weight is negative, infinite or no number, or all are 0.
    """

    ce: float = 5.0
    mlm: float = 2.0
    cos: float = 1.0
    mse: float = 0.0

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"the weight of {name} is {weight}, expected 0 or more")
        if not any(asdict(self).values()):
            raise ValueError("all loss weights are 0: there is nothing to learn from")


class Distillation(Objective):
    """Student and teacher on one batch."""

    def __init__(
        self,
        student: DistilBertForMaskedLM | DistilBertModel,
        teacher: DistilBertForMaskedLM | DistilBertModel | None,
        weights: LossWeights = LossWeights(),
        *,
        temperature: float = 2.0,
        masked_only: bool = False,
    ) -> None:
        """Pair a student with its teacher.

        Args:
            student: With a masked-LM head where ce or mlm has a weight, else without one.
            teacher: Is put in eval mode; it never learns. None where mlm is the only loss: that is
                BERT's own training.
            weights: The factor of each loss.
            temperature: T of the cross-entropy with the teacher.
            masked_only: Hold that cross-entropy to masked tokens; else it is over all.

        Raises:
            ValueError: Models that do not fit, a model without a head that needs one, a loss that
                needs a teacher without one.
        """
        super().__init__()
        self.weights = {name: weight for name, weight in asdict(weights).items() if weight}
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected more than 0")
        self.temperature = temperature
        self.masked_only = masked_only
        self._check_fit(student, teacher)
        self.model = student
        # In a list: the teacher is no part of what is trained, saved or kept in step by DDP.
        self._teacher = [teacher if teacher is None else teacher.eval().requires_grad_(False)]

    def _check_fit(self, student: torch.nn.Module, teacher: torch.nn.Module | None) -> None:
        taught = [name for name in self.weights if name != "mlm"]
        if teacher is None and taught:
            raise ValueError(f"without a teacher there is only mlm, not {', '.join(taught)}")
        headed = {"ce": (student, teacher), "mlm": (student,)}
        for name in set(headed) & set(self.weights):
            for model in headed[name]:
                if not isinstance(model, DistilBertForMaskedLM):
                    raise ValueError(
                        f"the loss {name!r} has a weight, but {type(model).__name__} has no "
                        "masked-LM head: give it 0, or pass DistilBertForMaskedLM"
                    )
        if isinstance(student, DistilBertForMaskedLM) and not {"ce", "mlm"} & set(self.weights):
            raise ValueError(
                "the student's masked-LM head would learn nothing, as ce and mlm have no weight: "
                "pass its encoder, student.distilbert"
            )
        if teacher is None:
            return
        for name in ("vocab_size", "dim", "max_position_embeddings"):
            ours, theirs = (getattr(model.config, name) for model in (student, teacher))
            if ours != theirs:
                raise ValueError(f"{name} is {ours} in the student, {theirs} in the teacher")

    @property
    def student(self) -> DistilBertForMaskedLM | DistilBertModel:
        """The model that learns."""
        return self.model

    def counts(self, batch: Batch) -> dict[str, float]:
        """Tokens of the batch; masked ones for mlm, and for ce where it is held to them."""
        tokens = tokens_of(batch)
        masked = int((batch["labels"] != IGNORE_INDEX).sum()) if "labels" in batch else 0
        counts = {"ce": masked if self.masked_only else tokens, "mlm": masked}
        return {name: counts.get(name, tokens) for name in self.weights}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The sum of each loss over the rows that it counts."""
        (teacher,) = self._teacher
        inputs = {name: batch[name] for name in INPUTS if name in batch}
        hidden = real_rows(_hidden(self.model, inputs), batch)
        target = hidden.detach()  # nobody looks at it without a teacher
        if teacher is not None:
            with torch.no_grad():
                target = real_rows(_hidden(teacher, inputs), batch)
        sums = {}
        if "cos" in self.weights:
            sums["cos"] = losses.cosine(hidden, target)
        if "mse" in self.weights:
            sums["mse"] = losses.square(hidden, target)
        if isinstance(self.model, DistilBertForMaskedLM) and {"ce", "mlm"} & set(self.weights):
            labels = real_rows(batch["labels"], batch)
            if self.masked_only or "ce" not in self.weights:
                masked = (labels != IGNORE_INDEX).nonzero().flatten()
                hidden, target, labels = hidden[masked], target[masked], labels[masked]
            logits = self.model.logits(hidden)
            if "mlm" in self.weights:
                sums["mlm"] = losses.masked_lm(logits, labels)
            if "ce" in self.weights and isinstance(teacher, DistilBertForMaskedLM):
                with torch.no_grad():
                    soft = teacher.logits(target)
                sums["ce"] = losses.divergence(logits, soft, self.temperature)
        return sums


def _hidden(model: DistilBertForMaskedLM | DistilBertModel, inputs: Batch) -> Tensor:
    output: Any = model.encoder(**inputs, return_dict=True)
    return output.last_hidden_state


def real_rows(values: Tensor, batch: Batch) -> Tensor:
    """(N, ...), the rows of real tokens; a packed batch has no others."""
    if "cu_seqlens" in batch:
        return values
    return values[batch["attention_mask"].bool()]
