"""A masked-LM training step: its time and its peak of memory beside transformers'.

    the same tokens, padded --transformers--> loss, gradients
                     packed --minidistil----> loss, gradients

Dropout is off, so that losses and gradients can be compared. transformers gets the padded batch and
sdpa; we get the tokens packed, and compute the head only where there is a label. No optimizer.

Not here: a step with a teacher (`distillation.py`), whole runs (`minidistil.training`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from minidistil.benchmark.machine import installed
from minidistil.benchmark.memory import peak_memory
from minidistil.benchmark.report import RATIOS, TIMES, Report, milliseconds, ratio
from minidistil.benchmark.timing import Run, interleaved, paired, spread
from minidistil.benchmark.work import SMALL, Setting, Work, mixed
from minidistil.distillation.distiller import Distillation, LossWeights
from minidistil.heads import DistilBertForMaskedLM
from minidistil.training.objective import Batch

STEPS = (Work("16 mixed", mixed(16, 512, 0.23)), Work("8 x 128", (128,) * 8))
QUIET = {"dropout": 0.0, "attention_dropout": 0.0}
MASKED = 0.15
COLUMNS = {"step": "", **TIMES, **RATIOS, "loss apart": ".1e", "gradient apart": ".1e"}


def batches(work: Work, vocab_size: int, device: str = "cpu") -> tuple[Batch, Batch]:
    """The padded and the packed form of one batch, 15 % of its tokens to be predicted."""
    ids, mask = work.padded(vocab_size)
    chosen = torch.rand(ids.shape, generator=torch.Generator().manual_seed(1)) < MASKED
    labels, real = torch.where(chosen & (mask > 0), ids, -100), mask > 0
    ends = torch.tensor([0, *work.lengths]).cumsum(0).int()
    padded = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    packed = {"input_ids": ids[real], "cu_seqlens": ends, "labels": labels[real]}
    padded, packed = ({k: v.to(device) for k, v in form.items()} for form in (padded, packed))
    return padded, {**packed, "max_seqlen": work.shape[1]}


def reference_model(setting: Setting) -> Any:
    """A masked-LM model of transformers, random, in training mode, without dropout.

    Raises:
        ValueError: transformers is not installed.
    """
    if installed("transformers") is None:
        raise ValueError(
            "a training step is held against transformers', which is absent: "
            "pip install 'minidistil[peers]'"
        )
    import transformers

    torch.manual_seed(0)
    config = transformers.DistilBertConfig(**{**setting.fields, **QUIET})
    model: Any = transformers.DistilBertForMaskedLM(config)
    return model.to(setting.device).train()


def own_model(setting: Setting) -> Distillation:
    """One of this library's, likewise, in its objective."""
    model: Any = DistilBertForMaskedLM(setting.config(**QUIET))
    return Distillation(model, None, LossWeights(ce=0, mlm=1, cos=0)).to(setting.device).train()


@dataclass(frozen=True)
class Pair:
    """transformers' model and ours, with the same weights.

    Args:
        theirs: transformers' masked-LM model.
        ours: This library's, in its training objective.
        device: Where both are.
    """

    theirs: Any
    ours: Any
    device: str = "cpu"

    @classmethod
    def of(cls, setting: Setting) -> "Pair":
        """Both models of a setting, random and in training mode.

        Raises:
            ValueError: transformers is not installed.
        """
        theirs, ours = reference_model(setting), own_model(setting)
        ours.student.load_state_dict(theirs.state_dict())
        return cls(theirs, ours, setting.device)

    def reference(self, padded: Batch) -> Tensor:
        """Their loss, ()."""
        return self.theirs(**padded).loss

    def mine(self, packed: Batch) -> Tensor:
        """Our loss, ()."""
        return total(self.ours, packed)

    def step(self, loss_of: Callable[[Batch], Tensor], batch: Batch, half: bool = False) -> float:
        """Forward and backward; the loss. Gradients of the step before are dropped.

        Args:
            loss_of: `reference` or `mine`.
            batch: In its form.
            half: In bfloat16, by autocast.
        """
        for model in (self.theirs, self.ours):
            model.zero_grad()
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=half):
            loss = loss_of(batch)
        loss.backward()
        return loss.item()

    def steps(self, padded: Batch, packed: Batch) -> dict[str, Run]:
        """What is timed, by its name."""
        return {
            "transformers float32": partial(self.step, self.reference, padded),
            "transformers bfloat16": partial(self.step, self.reference, padded, half=True),
            "minidistil float32": partial(self.step, self.mine, packed),
            "minidistil bfloat16": partial(self.step, self.mine, packed, half=True),
        }

    def apart(self, padded: Batch, packed: Batch) -> dict[str, float]:
        """How far the two are apart: "loss" of both, and the worst "gradient", relative.

        A gradient below 1e-3 counts as one of 1e-3, and that of a key's bias, which is zero in
        mathematics, not at all.
        """
        want = self.step(self.reference, padded)
        grads = {name: p.grad.clone() for name, p in self.theirs.named_parameters()}
        got = self.step(self.mine, packed)
        worst = max(
            float((p.grad - grads[name]).norm() / max(grads[name].norm(), 1e-3))
            for name, p in self.ours.student.named_parameters()
            if "k_lin.bias" not in name and p.grad is not None
        )
        return {"loss": abs(got - want), "gradient": worst}


def once(step: str, fields: Mapping[str, Any], lengths: Sequence[int], device: str = "cpu") -> None:
    """One of `Pair.steps`, twice, with no other model there: what a fresh process is measured at.

    Args:
        step: Its name.
        fields: Of `DistilBertConfig`.
        lengths: Tokens of each text.
        device: Where it is done.
    """
    setting = Setting(fields=fields, device=device)
    pair, nobody = partial(Pair, device=device), torch.nn.Module()
    if step.startswith("transformers"):
        alone = pair(reference_model(setting), nobody)
    else:
        alone = pair(nobody, own_model(setting))
    work = Work(step, tuple(lengths))
    run = alone.steps(*batches(work, setting.config().vocab_size, device))[step]
    for _ in range(2):  # the second has the gradients of the first to drop
        run()


def total(objective: Distillation, batch: Batch) -> Tensor:
    """Its losses, each a mean, by their weights: ()."""
    counts, losses = objective.counts(batch), objective(batch)
    return torch.stack([objective.weights[k] * v / counts[k] for k, v in losses.items()]).sum()


def timed(pair: Pair, work: Work, setting: Setting) -> list[dict[str, Any]]:
    """A row for each of the pair's steps, in turns: times, ratios, and how far the two are apart.

    Args:
        pair: What is held against each other.
        work: The batch.
        setting: The rounds, the device.
    """
    padded, packed = batches(work, setting.config().vocab_size, setting.device)
    apart = pair.apart(padded, packed)
    runs = pair.steps(padded, packed)
    times = interleaved(runs, setting.rounds, device=setting.device, rest=setting.rest)
    rows: list[dict[str, Any]] = []
    for name, mine in times.items():
        row = {"work": work.name, "step": name, "seconds": mine}
        row |= milliseconds(spread(mine)) | ratio(paired(mine, times["transformers float32"]))
        if name == "minidistil float32":
            row |= {"loss apart": apart["loss"], "gradient apart": apart["gradient"]}
        rows.append(row)
    return rows


def steps(setting: Setting, works: Sequence[Work] = STEPS) -> Iterator[Report]:
    """Time and peak memory of a step, and how far it is from transformers'.

    One table a batch, each as soon as it is measured.

    Args:
        setting: The model, the rounds, the device.
        works: The batches.

    Raises:
        ValueError: transformers is not installed.
    """
    pair = Pair.of(setting)
    for work in works:
        rows = timed(pair, work, setting)
        for row in rows:
            given = {"fields": {**setting.fields}, "lengths": [*work.lengths]}
            given |= {"step": row["step"], "device": setting.device}
            peak = peak_memory(once, {"fields": SMALL}, **given)
            row["peak MB"] = peak and peak / 1e6
        title = f"{work.name}: a masked-LM step, forward and backward"
        yield Report(title, {**COLUMNS, "peak MB": ".0f"}, rows)
