"""What training costs beside transformers: tables of steps, and what a step keeps on the way.

    setting --steps, distillation--> times, ratios, memory
            --kept-----------------> bytes between forward and backward

Not here: one step (`steps.py`, `distillation.py`), whole runs (`minidistil.training`).
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch

from minidistil.benchmark.distillation import distillation
from minidistil.benchmark.memory import training_memory
from minidistil.benchmark.report import Report
from minidistil.benchmark.steps import steps
from minidistil.benchmark.work import Setting
from minidistil.heads import DistilBertForMaskedLM

WAYS = (("eager", "torch"), ("sdpa", "torch"), ("triton", "triton"))
LENGTHS = (64, 128, 256, 512)
NARROW = {"n_layers": 2, "dim": 128, "n_heads": 2, "hidden_dim": 512}


def kept(
    device: str = "cpu",
    fields: Mapping[str, Any] = NARROW,
    lengths: Sequence[int] = LENGTHS,
    ways: Sequence[tuple[str, str]] = WAYS,
) -> Report:
    """What a step keeps for its backward pass, counted: one text of S tokens, two narrow blocks.

    Args:
        device: Without a GPU, Triton runs in its interpreter, and `TRITON_INTERPRET=1` must have
            been set before.
        fields: Of `DistilBertConfig`.
        lengths: Every S.
        ways: Implementations of attention and of what is between products.
    """
    # No dropout in attention: with it, PyTorch on a CPU has no fused attention to compare with.
    setting, rows = Setting(fields={**fields, "attention_dropout": 0.0}), []
    for length in lengths:
        ids = torch.arange(length, device=device)[None] + 1
        row: dict[str, Any] = {"S": length}
        for attention, ops in ways:
            torch.manual_seed(0)
            model = DistilBertForMaskedLM(setting.config()).to(device).train()
            model.set_attn_implementation(attention)
            model.set_layer_ops(ops)
            memory = training_memory(model, input_ids=ids, labels=ids)
            row[f"{attention} MB"] = memory.saved / 1e6
            row[f"{attention} largest"] = memory.largest / 1e6
        rows.append(row)
    columns = {"S": "d"} | {key: ".2f" for key in rows[0] if key != "S"}
    notes = ["MB kept for the backward pass; the largest tensor that an operator made."]
    return Report("What a step keeps", columns, rows, notes)


def training(setting: Setting) -> Iterator[Report]:
    """The tables of `steps`, of `distillation` and of `kept`, each as soon as it is measured.

    Raises:
        ValueError: transformers is not installed.
    """
    ways = WAYS if find_spec("triton") else WAYS[:2]
    yield from steps(setting)
    yield distillation(setting)
    yield kept(setting.device, {**NARROW, **setting.fields}, ways=ways)
