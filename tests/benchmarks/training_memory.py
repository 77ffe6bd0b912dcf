"""Bytes that one masked-LM training step keeps for its backward pass: PyTorch against Triton.

    python -m tests.benchmarks.training_memory

Two blocks of width 128 with 2 heads and DistilBERT's vocabulary, one text of S tokens. What is kept
is counted, not sampled. Without a GPU, Triton runs in its interpreter.
"""

import os

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from minidistil import DistilBertConfig, DistilBertForMaskedLM
from tests.helpers.memory import training_memory

WAYS = (("eager", "torch"), ("sdpa", "torch"), ("triton", "triton"))
LENGTHS = (64, 128, 256, 512)


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # No dropout in attention: with it, PyTorch on a CPU has no fused attention to compare with.
    config = DistilBertConfig(n_layers=2, dim=128, n_heads=2, hidden_dim=512, attention_dropout=0.0)
    print(f"torch {torch.__version__}, {device}: MB kept for the backward pass, largest tensor MB")
    print("S", *(f"{attention}+{ops}" for attention, ops in WAYS), sep="\t")
    for length in LENGTHS:
        ids = torch.arange(length, device=device)[None] + 1000
        cells = []
        for attention, ops in WAYS:
            torch.manual_seed(0)
            model = DistilBertForMaskedLM(config).to(device).train()
            model.set_attn_implementation(attention)
            model.set_layer_ops(ops)
            memory = training_memory(model, input_ids=ids, labels=ids)
            cells.append(f"{memory.saved / 1e6:.2f}, {memory.largest / 1e6:.2f}")
        print(length, *cells, sep="\t")


if __name__ == "__main__":
    main()
