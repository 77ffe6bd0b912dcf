"""DistilBERT beside BERT-base: what half the layers are worth.

    6 and 12 layers of the same shapes --> parameters, time, peak memory

BERT-base is this library's model with 12 layers. What BERT has besides, the table of segments and
the pooler, is 0.6 M parameters of 110 M, and no time to speak of.

Source: Sanh et al. 2019, table 3: 66 M parameters for 110 M, 60 % of the time.
Not here: what half the layers cost in accuracy (docs/reproduction.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from minidistil.benchmark.memory import peak_memory
from minidistil.benchmark.report import RATIOS, TIMES, Report, milliseconds, ratio
from minidistil.benchmark.timing import Run, interleaved, paired, spread
from minidistil.benchmark.work import SMALL, Setting, Work
from minidistil.config import DistilBertConfig
from minidistil.model import DistilBertModel

MODES = ("modules", "float32")  # those to be read, and the fast path
LAYERS = {"BERT-base": 2.0, "DistilBERT": 1.0}  # times the layers of the setting


def encoder(fields: Mapping[str, Any], mode: str, device: str = "cpu") -> Any:
    """An encoder with random weights, in eval mode.

    Args:
        fields: Of `DistilBertConfig`.
        mode: "modules", or a precision of the fast path.
        device: Where it is.
    """
    model = DistilBertModel(DistilBertConfig(**fields)).to(device).eval()
    return model if mode == "modules" else model.for_inference(mode, keep=False)


@torch.inference_mode()
def encode(
    fields: Mapping[str, Any], mode: str, lengths: Sequence[int], device: str = "cpu"
) -> None:
    """Build a model and encode one batch: what a fresh process is measured at."""
    work, model = Work("", tuple(lengths)), encoder(fields, mode, device)
    ids, mask = work.padded(model.config.vocab_size)
    model(ids.to(device), mask.to(device))


def size(setting: Setting) -> Iterator[Report]:
    """Parameters, then time and memory, a table a row of work; ratios are to BERT-base."""
    layers = {name: int(n * setting.config().n_layers) for name, n in LAYERS.items()}
    fields = {name: {**setting.fields, "n_layers": n} for name, n in layers.items()}
    models = {
        (name, mode): encoder(fields[name], mode, setting.device)
        for name in fields
        for mode in MODES
    }
    parameters = [
        {"model": name, "layers": layers[name], "parameters M": count / 1e6, "MB": count * 4 / 1e6}
        for name in fields
        for count in [sum(p.numel() for p in models[name, "modules"].parameters())]
    ]
    counted = {"model": "", "layers": "d", "parameters M": ".1f", "MB": ".0f"}
    yield Report("Parameters", counted, parameters)
    columns = {"model": "", "mode": "", **TIMES, **RATIOS, "peak MB": ".0f"}
    notes = ["Peak: of a process that draws the weights, for its fast path from the modules."]
    for work in setting.rows:
        ids, mask = (x.to(setting.device) for x in work.padded(setting.config().vocab_size))
        runs: dict[str, Run] = {
            f"{name} {mode}": partial(_answer, model, ids, mask)
            for (name, mode), model in models.items()
        }
        times = interleaved(runs, setting.rounds, device=setting.device, rest=setting.rest)
        rows = []
        for name, mode in models:
            mine = times[f"{name} {mode}"]
            peak = peak_memory(
                encode,
                {"fields": SMALL},
                fields=fields[name],
                mode=mode,
                lengths=[*work.lengths],
                device=setting.device,
            )
            row = {"work": work.name, "model": name, "mode": mode, "seconds": mine}
            row |= milliseconds(spread(mine))
            row |= ratio(paired(mine, times[f"BERT-base {mode}"]))
            rows.append(row | {"peak MB": peak and peak / 1e6})
        yield Report(f"{work.name}: a batch", columns, rows, notes)


@torch.inference_mode()
def _answer(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> None:
    model(ids, mask)
