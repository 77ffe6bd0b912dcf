"""Time and loss of a masked-LM training step, ours against transformers', in pairs.

    python -m tests.benchmarks.training_step [--pairs 10]

distilbert-base shapes, random weights, dropout off, so that losses can be compared; 16 sequences of
log-normal lengths that fill 23 % of a padded (16, 512) batch, and 8 full ones of 128. transformers
gets the padded batch and sdpa; we get the same tokens packed, and compute the head where there is a
label. Which of the two goes first alternates; ratios are taken pair by pair. Nothing is asserted.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import transformers

import minidistil
from minidistil.distillation.distiller import Distillation, LossWeights
from minidistil.training.objective import Batch

VOCABULARY = 30522


def batch_of(lengths: list[int]) -> Batch:
    """Random ids, 15 % of which are to be predicted; packed."""
    generator = torch.Generator().manual_seed(0)
    total = sum(lengths)
    ids = torch.randint(1000, VOCABULARY, (total,), generator=generator)
    chosen = torch.rand(total, generator=generator) < 0.15
    ends = torch.tensor([0, *lengths]).cumsum(0).int()
    labels = torch.where(chosen, ids, -100)
    return {
        "input_ids": ids, "cu_seqlens": ends, "max_seqlen": max(lengths), "labels": labels,
    }  # fmt: skip


def padded(batch: Batch) -> Batch:
    lengths = batch["cu_seqlens"].diff().tolist()
    pad = torch.nn.utils.rnn.pad_sequence
    ids, labels = (batch[name].split(lengths) for name in ("input_ids", "labels"))
    return {
        "input_ids": pad(ids, batch_first=True),
        "attention_mask": pad([torch.ones(n, dtype=torch.long) for n in lengths], batch_first=True),
        "labels": pad(labels, batch_first=True, padding_value=-100),
    }


def mixed_lengths() -> list[int]:
    """16 log-normal lengths with a mean of 23 % of the longest, 512."""
    drawn = np.sort(np.random.default_rng(3).lognormal(0.0, 1.0, 16))
    lengths = np.clip(drawn / drawn[-1] * 512, 12, 512)
    while lengths.mean() < 0.23 * 512:
        lengths = np.clip(lengths * 1.01, 12, 512)
    return [int(n) for n in lengths]


def step(model: torch.nn.Module, loss_of: Callable[[], torch.Tensor], half: bool) -> float:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = loss_of()
    loss.backward()
    return loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description="Masked-LM training steps in pairs.")
    parser.add_argument("--pairs", type=int, default=10)
    pairs = parser.parse_args().pairs
    torch.manual_seed(0)
    quiet = {"dropout": 0.0, "attention_dropout": 0.0}
    theirs = transformers.DistilBertForMaskedLM(transformers.DistilBertConfig(**quiet)).train()
    ours = minidistil.DistilBertForMaskedLM(minidistil.DistilBertConfig(**quiet)).train()
    ours.load_state_dict(theirs.state_dict())
    objective = Distillation(ours, ours, LossWeights(ce=0, mlm=1, cos=0))
    ours.requires_grad_(True).train()  # the objective froze it as its teacher
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads, {pairs} pairs")
    for name, lengths in (("mixed", mixed_lengths()), ("full", [128] * 8)):
        packed = batch_of(lengths)
        rows = padded(packed)
        fill = sum(lengths) / rows["input_ids"].numel()
        print(f"{name}: {len(lengths)} sequences, {sum(lengths)} tokens, {fill:.0%} fill")

        def reference(rows: Batch = rows) -> torch.Tensor:
            return theirs(**rows).loss

        def mine(packed: Batch = packed) -> torch.Tensor:
            return objective(packed)["mlm"] / objective.counts(packed)["mlm"]

        compare(theirs, ours, reference, mine)
        runs = {
            "transformers bf16": lambda r=reference: step(theirs, r, True),
            "minidistil fp32": lambda m=mine: step(ours, m, False),
            "minidistil bf16": lambda m=mine: step(ours, m, True),
        }
        for label, run in runs.items():
            ratios, times = [], []
            for pair in range(pairs):
                order = [run, lambda r=reference: step(theirs, r, False)]
                seconds = {}
                for i in (0, 1) if pair % 2 else (1, 0):
                    start = time.perf_counter()
                    order[i]()
                    seconds[i] = time.perf_counter() - start
                ratios.append(seconds[1] / seconds[0])
                times.append(seconds[0])
            ratios.sort()
            low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
            print(
                f"  {label:18} {statistics.median(times) * 1e3:7.0f} ms, "
                f"{statistics.median(ratios):5.2f}x transformers fp32 ({low:.2f} to {high:.2f})"
            )


def compare(theirs, ours, reference, mine) -> None:
    """Print how far loss and gradients are apart."""
    a, b, half = step(theirs, reference, False), step(ours, mine, False), None
    grads = {name: p.grad.clone() for name, p in theirs.named_parameters()}
    worst = max(
        float((p.grad - grads[name]).norm() / max(grads[name].norm(), 1e-3))
        for name, p in ours.named_parameters()
        if "k_lin.bias" not in name  # zero in mathematics
    )
    half = step(ours, mine, True)
    print(f"  loss {a:.6f} and {b:.6f}, bf16 {half:.6f}; gradients differ by {worst:.1e}")


if __name__ == "__main__":
    main()
