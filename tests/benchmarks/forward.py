"""Time of a float32 forward pass, ours against transformers', in pairs in one process.

    python -m tests.benchmarks.forward

Both run sdpa on the same weights and the same batch. Which of the two goes first alternates, and
the ratio is taken pair by pair, so that a drift of the machine's speed cancels. Nothing is
asserted.
"""

import statistics
import time

import torch
import transformers

import minidistil

SHAPES = [(1, 16, False), (1, 128, False), (8, 128, False), (8, 128, True), (4, 512, True)]
PAIRS = 20


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@torch.inference_mode()
def main() -> None:
    torch.manual_seed(0)
    theirs = transformers.DistilBertModel(transformers.DistilBertConfig()).eval()
    ours = minidistil.DistilBertModel(minidistil.DistilBertConfig()).eval()
    ours.load_state_dict(theirs.state_dict())
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads, {PAIRS} pairs")
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
        times = []
        for pair in range(PAIRS):
            order = (0, 1) if pair % 2 else (1, 0)
            measured = {i: seconds(runs[i]) for i in order}
            times.append((measured[0], measured[1]))
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
