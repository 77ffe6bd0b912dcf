"""The two tables of transformers' page on DistilBERT, by this library on this machine.

    masked-LM model, (batch, length) --> time eager, sdpa, ..., speed-up, peak memory

The columns are the page's: speed-up and saving are (eager / other - 1) in %. A training step is
forward, backward and optimizer; a batch of inference has a mask. On a GPU the model is float16, as
the page's is, on a CPU float32.

Source: https://huggingface.co/docs/transformers/v4.46.0/model_doc/distilbert, "Using Scaled Dot
Product Attention".
Not here: transformers itself (`comparison.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor

from minidistil.benchmark.memory import peak_memory
from minidistil.benchmark.report import Report
from minidistil.benchmark.timing import Run, interleaved, paired, spread
from minidistil.benchmark.work import FIRST_ID, SMALL, Setting
from minidistil.config import DistilBertConfig
from minidistil.heads import DistilBertForMaskedLM

TRAINING = [*product((1, 2, 4, 8), (128, 256))]
INFERENCE = [*product((2, 4, 8, 16), (64, 128))]
Step = Callable[[], None]


def learner(fields: Mapping[str, Any], way: str, batch: int, length: int, device: str) -> Step:
    """A training step, ready to run: forward, backward, AdamW.

    Args:
        fields: Of `DistilBertConfig`.
        way: An attention implementation.
        batch: Texts, B.
        length: Of each, S.
        device: Where the model is; on a GPU its weights are float16.
    """
    model = _model(fields, device).train()
    model.set_attn_implementation(way)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    ids, mask = _batch(model.config.vocab_size, batch, length, device)

    def step() -> None:
        model(ids, mask, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def answerer(fields: Mapping[str, Any], way: str, batch: int, length: int, device: str) -> Step:
    """A forward pass, ready to run; arguments as of `learner`, or "fast" for the fast path."""
    model: Any = _model(fields, device).eval()
    if way == "fast":
        dtype = "bfloat16" if device.startswith("cuda") else "float32"
        model = model.for_inference(dtype, keep=False)
    else:
        model.set_attn_implementation(way)
    ids, mask = _batch(model.config.vocab_size, batch, length, device)

    @torch.inference_mode()
    def step() -> None:
        model(ids, mask)

    return step


def once(kind: str, **arguments: Any) -> None:
    """Two steps of a new model: what a fresh process is measured at.

    Args:
        kind: "training" or "inference".
        arguments: As of `learner`.
    """
    step = (learner if kind == "training" else answerer)(**arguments)
    for _ in range(2):  # the optimizer's state comes with the first
        step()


def reference_tables(
    setting: Setting,
    training: Iterable[tuple[int, int]] = TRAINING,
    inference: Iterable[tuple[int, int]] = INFERENCE,
) -> Iterator[Report]:
    """Both tables, each as soon as it is measured.

    Args:
        setting: The model, the rounds, the device.
        training: (batch, length) of each row of the first.
        inference: Likewise of the second.
    """
    kernels = ["triton"] if setting.device.startswith("cuda") else []
    learn, answer = ["eager", "sdpa", *kernels], ["eager", "sdpa", *kernels, "fast"]
    note = (
        "ms per token: of a batch, over all its tokens. The page's latencies hardly grow with the "
        "batch: to compare, take ms per batch."
    )
    yield _table("Training", "training", "s", learn, setting, training, [])
    yield _table("Inference", "inference", "ms", answer, setting, inference, [note])


def _table(
    title: str,
    kind: str,
    unit: str,
    ways: list[str],
    setting: Setting,
    shapes: Iterable[tuple[int, int]],
    notes: list[str],
) -> Report:
    make, first = learner if kind == "training" else answerer, ways[0]
    rows = []
    for batch, length in shapes:
        common = {"batch": batch, "length": length, "device": setting.device}
        runs: dict[str, Run] = {way: make(setting.fields, way, **common) for way in ways}
        times = interleaved(runs, setting.rounds, device=setting.device, rest=setting.rest)
        del runs
        row: dict[str, Any] = {"batch size": batch, "seq len": length, "seconds": times}
        measure = partial(peak_memory, once, {"fields": SMALL}, kind=kind, **common)
        peaks = {way: measure(way=way, fields={**setting.fields}) for way in ways}
        for way in ways:
            taken = spread(times[way]).median * (1 if unit == "s" else 1e3)
            row[f"{unit} per batch {way}"] = taken
            row[f"ms per token {way}"] = taken / (batch * length)
            row[f"speedup % {way}"] = (paired(times[first], times[way]).median - 1) * 100
            peak, least = peaks[first], peaks[way]
            row[f"peak MB {way}"] = least and least / 1e6
            row[f"saved % {way}"] = peak and least and (peak / least - 1) * 100
        rows.append(row)
    columns = {"batch size": "d", "seq len": "d"}
    columns |= {f"{unit} per batch {way}": ".3f" for way in ways}
    if unit == "ms":
        columns |= {f"ms per token {way}": ".3f" for way in ways}
    columns |= {f"speedup % {way}": ".1f" for way in ways[1:]}
    columns |= {f"peak MB {way}": ".0f" for way in ways}
    columns |= {f"saved % {way}": ".1f" for way in ways[1:]}
    return Report(title, columns, rows, notes)


def _model(fields: Mapping[str, Any], device: str) -> DistilBertForMaskedLM:
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    return DistilBertForMaskedLM(DistilBertConfig(**fields)).to(device, dtype)


def _batch(vocab_size: int, batch: int, length: int, device: str) -> tuple[Tensor, Tensor]:
    ids = torch.randint(FIRST_ID, vocab_size, (batch, length), device=device)
    mask = torch.ones_like(ids)
    mask[0, -1] = 0  # a batch without any padding would take another way
    return ids, mask
