"""Time of a float32 forward pass, ours against transformers', in pairs.

    python -m tests.benchmarks.forward

Both run sdpa on the same weights and the same batch. Which of the two goes first is drawn by lot,
and the ratio is taken pair by pair, so that a drift of the machine's speed cancels. Where the
weights come to lie in memory alone makes one process 3 % faster or slower than the next: so the
pairs are of several processes. Nothing is asserted.
"""

import multiprocessing
import random
import statistics
import time

import torch
import transformers

import minidistil

SHAPES = [(1, 16, False), (1, 128, False), (8, 128, False), (8, 128, True), (4, 512, True)]
PROCESSES = 8
PAIRS = 10  # in each process


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@torch.inference_mode()
def pairs(seed: int) -> list[list[tuple[float, float]]]:
    """For each shape, the seconds of theirs and of ours, `PAIRS` times."""
    torch.manual_seed(seed)
    lots = random.Random(seed)
    theirs = transformers.DistilBertModel(transformers.DistilBertConfig()).eval()
    ours = minidistil.DistilBertModel(minidistil.DistilBertConfig()).eval()
    ours.load_state_dict(theirs.state_dict())
    times = []
    for batch, length, padded in SHAPES:
        ids = torch.randint(30522, (batch, length))
        lengths = torch.linspace(length // 2, length, batch).long() if padded else length
        mask = (torch.arange(length) < torch.as_tensor(lengths).view(-1, 1)).expand(batch, length)
        runs = [
            lambda ids=ids, mask=mask: theirs(ids, attention_mask=mask),
            lambda ids=ids, mask=mask: ours(ids, attention_mask=mask),
        ]
        for run in runs:
            run()
        times.append([])
        for _ in range(PAIRS):
            measured = {i: seconds(runs[i]) for i in lots.sample((0, 1), 2)}
            times[-1].append((measured[0], measured[1]))
    return times


def main() -> None:
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads, {PROCESSES} processes of {PAIRS} pairs")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        processes = pool.map(pairs, range(PROCESSES), chunksize=1)
    for i, (batch, length, padded) in enumerate(SHAPES):
        times = [pair for process in processes for pair in process[i]]
        ratios = sorted(t[1] / t[0] for t in times)
        low, high = ratios[len(ratios) // 4], ratios[-len(ratios) // 4]
        print(
            f"{batch:3} x {length:3} {'padded' if padded else 'full  '}  "
            f"transformers {statistics.median(t[0] for t in times) * 1e3:7.1f} ms  "
            f"minidistil {statistics.median(t[1] for t in times) * 1e3:7.1f} ms  "
            f"ratio {statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    main()
