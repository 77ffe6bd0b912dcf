"""Speed and memory against batch and length, of the fast path in float32.

    (batch, length) --> tokens a second, peak memory

Not here: other precisions and engines (`comparison.py`); texts of mixed lengths, where the padding
that is not computed would be counted as speed.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from minidistil.benchmark.memory import peak_memory
from minidistil.benchmark.report import Report
from minidistil.benchmark.size import encode, encoder
from minidistil.benchmark.timing import Run, interleaved, spread
from minidistil.benchmark.work import SMALL, Setting, Work

BATCHES = (1, 4, 16)
LENGTHS = (16, 64, 256, 512)


def scaling(
    setting: Setting, batches: Sequence[int] = BATCHES, lengths: Sequence[int] = LENGTHS
) -> list[Report]:
    """One row a batch size and length.

    Args:
        setting: The model, the rounds, the device.
        batches: Texts, B.
        lengths: Tokens of each, S.
    """
    model = encoder(setting.fields, "float32", setting.device)
    works = [Work(f"{batch} x {n}", (n,) * batch) for n in lengths for batch in batches]
    runs: dict[str, Run] = {}
    for work in works:
        ids, mask = (x.to(setting.device) for x in work.padded(model.config.vocab_size))
        runs[work.name] = torch.inference_mode()(partial(model, ids, mask))
    times = interleaved(runs, setting.rounds, device=setting.device, rest=setting.rest)
    rows: list[dict[str, Any]] = []
    for work in works:
        rate = spread([work.tokens / taken for taken in times[work.name]])
        peak = peak_memory(
            encode,
            {"fields": SMALL},
            fields={**setting.fields},
            mode="float32",
            lengths=[*work.lengths],
            device=setting.device,
        )
        row = {"batch": work.shape[0], "length": work.shape[1], "tokens/s": rate.median}
        row |= {"low": rate.low, "high": rate.high, "peak MB": peak and peak / 1e6}
        rows.append(row | {"seconds": times[work.name]})
    forms = {"batch": "d", "length": "d", "tokens/s": ".0f", "low": ".0f", "high": ".0f"}
    return [Report("Tokens a second", {**forms, "peak MB": ".0f"}, rows)]
