"""A distillation step: the recipe's three losses, and its time beside the same on transformers'.

    the same tokens, padded --transformers' student and teacher--> losses, gradients
                     packed --minidistil's----------------------> losses, gradients

With the cross-entropy over all tokens both heads are needed everywhere: only padding is saved. Held
to the masked tokens it is another loss, of 15 % of the rows. The teacher has twice the student's
layers, as the original's had.

Source: Sanh et al. 2019, arXiv 1910.01108: 5 ce + 2 mlm + 1 cos, T = 2.
Not here: masked words alone (`steps.py`), whole runs (`minidistil.distillation.recipe`).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minidistil.benchmark.report import Report
from minidistil.benchmark.steps import COLUMNS, QUIET, STEPS, Pair, reference_model, timed, total
from minidistil.benchmark.timing import Run
from minidistil.benchmark.work import Setting, Work
from minidistil.distillation.distiller import Distillation, LossWeights
from minidistil.heads import DistilBertForMaskedLM
from minidistil.training.objective import Batch

WEIGHTS = LossWeights(ce=5.0, mlm=2.0, cos=1.0)
TEMPERATURE = 2.0


@dataclass(frozen=True)
class TaughtPair(Pair):
    """A student and its teacher of transformers, and the same two of ours.

    Args:
        teacher: transformers' masked-LM model that teaches theirs.
        masked: Our student and teacher, with the cross-entropy at masked tokens only.
    """

    teacher: Any = None
    masked: Any = None

    @classmethod
    def of(cls, setting: Setting) -> "TaughtPair":
        """All four models of a setting, random; the students in training mode.

        Raises:
            ValueError: transformers is not installed.
        """
        layers = 2 * setting.config().n_layers
        deep = replace(setting, fields={**setting.fields, "n_layers": layers})
        theirs, teacher = reference_model(setting), reference_model(deep).eval()
        own: Any = DistilBertForMaskedLM(setting.config(**QUIET)).to(setting.device)
        own_teacher: Any = DistilBertForMaskedLM(deep.config(**QUIET)).to(setting.device)
        own.load_state_dict(theirs.state_dict())
        own_teacher.load_state_dict(teacher.state_dict())
        told = partial(Distillation, own, own_teacher, WEIGHTS, temperature=TEMPERATURE)
        ours, masked = told().train(), told(masked_only=True).train()
        return cls(theirs, ours, setting.device, teacher, masked)

    def reference(self, padded: Batch) -> Tensor:
        """Their loss, (), formed as the published code forms it."""
        real = padded["attention_mask"].bool()
        with torch.no_grad():
            aim = self.teacher(
                padded["input_ids"], padded["attention_mask"], output_hidden_states=True
            )
        out = self.theirs(**padded, output_hidden_states=True)
        soft, logits = (x.logits[real] / TEMPERATURE for x in (aim, out))
        ce = F.kl_div(logits.log_softmax(-1), soft.softmax(-1), reduction="batchmean")
        hidden, target = (x.hidden_states[-1][real] for x in (out, aim))
        cos = F.cosine_embedding_loss(hidden, target, hidden.new_ones(len(hidden)))
        return WEIGHTS.ce * TEMPERATURE**2 * ce + WEIGHTS.mlm * out.loss + WEIGHTS.cos * cos

    def steps(self, padded: Batch, packed: Batch) -> dict[str, Run]:
        """What is timed, by its name."""
        return {
            "transformers float32": partial(self.step, self.reference, padded),
            "minidistil float32": partial(self.step, self.mine, packed),
            "minidistil float32, masked only": partial(
                self.step, partial(total, self.masked), packed
            ),
        }


def distillation(setting: Setting, work: Work = STEPS[0]) -> Report:
    """Time of a step with a teacher, and how far it is from the same by transformers' models.

    Args:
        setting: The student, the rounds, the device.
        work: The batch.

    Raises:
        ValueError: transformers is not installed.
    """
    rows = timed(TaughtPair.of(setting), work, setting)
    title = f"{work.name}: a distillation step, cross-entropy with the teacher over all tokens"
    return Report(title, COLUMNS, rows)
