"""All ways to run DistilBERT on this machine, in one run: time, ratio, error, what is left to gain.

    peers, rows of work --interleaved--> seconds of each, round by round --> a table

The ratio is to transformers with sdpa in float32, taken round by round, with its quartiles; above 1
is slower. The error is the largest difference of a hidden state of a real token from that model's.
Beside it stands the time over that of the bare products in the same dtype (`floor.py`).

Not here: the engines (`peers.py`, `runtimes.py`).
"""

import math
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minidistil.benchmark.floor import DTYPES, Products
from minidistil.benchmark.peers import Minidistil, Peer, Transformers
from minidistil.benchmark.report import RATIOS, TIMES, Report, milliseconds, ratio
from minidistil.benchmark.runtimes import CTranslate2, OnnxRuntime, OpenVINO
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.timing import Run, interleaved, paired, spread
from minidistil.benchmark.work import Setting, Work

MORE_THAN_ROUNDING = 1e-4  # in float32, of hidden states of up to 5; engines differ by 4e-6
COLUMNS = {"peer": "", **TIMES, **RATIOS, "x floor": ".2f", "largest error": ".1e", "note": ""}


def all_peers() -> list[Peer]:
    """Each of them, new; the first is the one that all are held against."""
    return [
        Transformers(),
        Transformers("eager"),
        Transformers(dtype="bfloat16"),
        Transformers(compiled=True),
        OnnxRuntime(),
        OnnxRuntime("int8"),
        OpenVINO(),
        OpenVINO("bfloat16"),
        CTranslate2(),
        CTranslate2("int8"),
        Minidistil(fast=False),
        Minidistil(),
        Minidistil("bfloat16"),
        Minidistil("int8"),
    ]


def error(states: Tensor, want: Tensor, work: Work) -> float:
    """The largest absolute difference of a hidden state of a real token; padding is nobody's.

    Args:
        states: (B, S, D), or of another shape, where a peer is wrong.
        want: (B, S, D).
        work: Whose lengths say which tokens are real.

    Returns:
        NaN where the shapes differ or a state is no number: neither is a small error.
    """
    if states.shape != want.shape:
        return float("nan")
    real = torch.arange(work.shape[1]) < torch.tensor(work.lengths)[:, None]
    return float((states - want)[real].abs().max())


def compare(setting: Setting, peers: Sequence[Peer] | None = None) -> list[Report]:
    """One table a row of work.

    Args:
        setting: The model, the rows, the rounds, the device.
        peers: The first is what all are held against. None takes all.

    Raises:
        ValueError: The first peer can't run here; names what is absent.
    """
    peers = all_peers() if peers is None else peers
    missing = {peer.name: peer.missing(setting.device) for peer in peers}
    if missing[peers[0].name]:
        raise ValueError(
            f"all are held against {peers[0].name}, which is {missing[peers[0].name]}: "
            "pip install 'minidistil[peers]'"
        )
    present = [peer for peer in peers if missing[peer.name] is None]
    config, threads = setting.config(), torch.get_num_threads()
    products = {dtype: Products(config, dtype, setting.device) for dtype in DTYPES}
    with tempfile.TemporaryDirectory() as folder:
        saved = Saved(Path(folder), config, threads, setting.device)
        saved.write()
        for peer in present:
            peer.load(saved)
        return [_table(work, setting, peers, missing, products) for work in setting.rows]


def _verdict(peer: Peer, largest: float) -> str:
    if math.isnan(largest):
        return "wrong: another shape, or NaN"
    if peer.dtype == "float32" and largest > MORE_THAN_ROUNDING:
        return "wrong: this is more than rounding"
    return ""


def _table(
    work: Work,
    setting: Setting,
    peers: Sequence[Peer],
    missing: dict[str, str | None],
    products: dict[str, Products],
) -> Report:
    present = [peer for peer in peers if missing[peer.name] is None]
    runs: dict[str, Run] = {peer.name: partial(peer.run, peer.inputs(work)) for peer in present}
    want = present[0].states(runs[present[0].name]())
    errors = {p.name: error(p.states(runs[p.name]()), want, work) for p in present}
    floors = {dtype: f"floor {dtype}" for dtype in DTYPES}
    runs |= {name: products[dtype].bind(work.tokens) for dtype, name in floors.items()}
    times = interleaved(runs, setting.rounds, device=setting.device, rest=setting.rest)
    first = times[peers[0].name]
    rows: list[dict[str, Any]] = []
    for peer in peers:
        row = {"peer": peer.name, "dtype": peer.dtype, "note": missing[peer.name] or ""}
        if peer in present:
            mine = times[peer.name]
            row |= milliseconds(spread(mine)) | ratio(paired(mine, first))
            row |= {"largest error": errors[peer.name], "seconds": mine}
            row["note"] = _verdict(peer, errors[peer.name])
            if peer.dtype in floors:
                row["x floor"] = paired(mine, times[floors[peer.dtype]]).median
        rows.append(row)
    for dtype, name in floors.items():
        mine = times[name]
        row = {"peer": name, "dtype": dtype, "note": "", "seconds": mine}
        rows.append(row | milliseconds(spread(mine)) | ratio(paired(mine, first)))
    rows_of = f"{work.name}: {work.tokens} tokens in {work.shape[0]} x {work.shape[1]}"
    return Report(f"{rows_of}, {work.fill:.0%} fill", COLUMNS, rows)
