"""All ways to run DistilBERT on this machine, in one run: time, ratio, error, what is left to gain.

    peers, rows of work --interleaved--> seconds of each, round by round --> a table

The ratio is to transformers with sdpa in float32, taken round by round, with its quartiles; above 1
is slower. The error is the largest difference of a hidden state of a real token from that model's.
Beside it stand the time over that of the bare products in the same dtype (`floor.py`), and the most
memory that the engine's process had so far, above a rehearsal with a tiny model.

Not here: the engines (`peers.py`, `runtimes.py`).
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minidistil.benchmark.floor import DTYPES, Floor
from minidistil.benchmark.peers import Minidistil, Peer, Transformers
from minidistil.benchmark.report import RATIOS, TIMES, Report, milliseconds, ratio
from minidistil.benchmark.runtimes import CTranslate2, OnnxRuntime, OpenVINO
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.timing import in_turns, paired, spread
from minidistil.benchmark.work import SMALL, Setting, Work
from minidistil.benchmark.workers import Worker

MORE_THAN_ROUNDING = 1e-4  # in float32, of hidden states of up to 5; engines differ by 4e-6
COLUMNS = {
    "peer": "",
    **TIMES,
    **RATIOS,
    "x floor": ".2f",
    "largest error": ".1e",
    "MB": ".0f",
    "note": "",
}


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
        Minidistil(way="modules"),
        Minidistil(way="compiled"),
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


def compare(setting: Setting, peers: Sequence[Peer] | None = None) -> Iterator[Report]:
    """One table a row of work, each as soon as it is measured.

    Args:
        setting: The model, the rows, the rounds, the device.
        peers: The first is what all are held against. None takes all.

    Raises:
        ValueError: The first peer can't run here; says why.
    """
    peers = all_peers() if peers is None else peers
    missing = {peer.name: peer.missing(setting.device) for peer in peers}
    if missing[peers[0].name]:
        raise ValueError(
            f"all are held against {peers[0].name}, which is {missing[peers[0].name]}: "
            "pip install 'minidistil[peers]'"
        )
    floors: list[Peer] = [Floor(dtype) for dtype in DTYPES]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        saved = Saved(Path(folder), setting.config(), torch.get_num_threads(), setting.device)
        tiny = replace(saved, folder=saved.folder / "tiny", config=setting.config(**SMALL))
        for model in (saved, tiny):
            model.write()
        workers: dict[str, Worker] = {}
        for peer in [*peers, *floors]:
            if missing.get(peer.name) is None:
                try:
                    for model in (saved, tiny):
                        peer.prepare(model)
                    workers[peer.name] = Worker(peer, saved, tiny)
                except Exception as error:
                    # Whatever an engine throws, the others go on.
                    missing[peer.name] = f"failed: {error}".splitlines()[0]
                else:
                    stack.callback(workers[peer.name].stop)
        if peers[0].name not in workers:
            raise ValueError(f"all are held against {peers[0].name}: {missing[peers[0].name]}")
        for work in setting.rows:
            yield _table(work, setting, [*peers, *floors], missing, workers)


def _table(
    work: Work,
    setting: Setting,
    peers: Sequence[Peer],
    missing: dict[str, str | None],
    workers: dict[str, Worker],
) -> Report:
    first = peers[0].name
    states = {name: worker.begin(work) for name, worker in workers.items()}
    turns = {name: worker.turn for name, worker in workers.items()}
    times = in_turns(turns, setting.rounds, rest=setting.rest)
    rows: list[dict[str, Any]] = []
    for peer in peers:
        row = {"peer": peer.name, "dtype": peer.dtype, "note": missing.get(peer.name) or ""}
        if peer.name in workers:
            mine = times[peer.name]
            row |= milliseconds(spread(mine)) | ratio(paired(mine, times[first]))
            size = workers[peer.name].memory()
            row |= {"seconds": mine, "MB": size and size / 1e6}
            if not isinstance(peer, Floor):
                row["largest error"] = error(states[peer.name], states[first], work)
                row["note"] = _verdict(peer, row["largest error"])
                if (floor := times.get(f"floor {peer.dtype}")) is not None:
                    row["x floor"] = paired(mine, floor).median
        rows.append(row)
    rows_of = f"{work.name}: {work.tokens} tokens in {work.shape[0]} x {work.shape[1]}"
    return Report(f"{rows_of}, {work.fill:.0%} fill", COLUMNS, rows)


def _verdict(peer: Peer, largest: float) -> str:
    if math.isnan(largest):
        return "wrong: another shape, or NaN"
    if peer.dtype == "float32" and largest > MORE_THAN_ROUNDING:
        return "wrong: this is more than rounding"
    return ""
