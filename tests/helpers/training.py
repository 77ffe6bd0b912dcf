"""Small things to train on: a model, packed batches of random tokens, a source of them."""

import torch

from minidistil import DistilBertConfig, DistilBertForMaskedLM, DistilBertTokenizer
from minidistil.distillation.data import TokenFile
from minidistil.distillation.preparation import prepare
from minidistil.training.settings import step_seed

VOCABULARY = 50


def tiny_masked_lm(layers: int = 2, **fields) -> DistilBertForMaskedLM:
    """A model of 2 heads of width 8, its weights large enough for losses that are not tiny."""
    config = DistilBertConfig(
        vocab_size=VOCABULARY, n_layers=layers, n_heads=2, dim=16, hidden_dim=24,
        max_position_embeddings=16, **fields,
    )  # fmt: skip
    model = DistilBertForMaskedLM(config)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):  # the projector is the word embedding, too
                module.weight.mul_(10)
    return model


def masked_batch(seed: int, lengths=(7, 3, 11)) -> dict:
    """A packed batch of random ids, about a third of them to be predicted."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(lengths)
    ids = torch.randint(1, VOCABULARY, (total,), generator=generator)
    chosen = torch.rand(total, generator=generator) < 0.3
    ends = torch.tensor([0, *lengths]).cumsum(0).int()
    return {
        "input_ids": ids, "cu_seqlens": ends, "max_seqlen": max(lengths),
        "labels": torch.where(chosen, ids, -100),
    }  # fmt: skip


def padded(batch: dict) -> dict:
    """The same batch as rows, padded with 0."""
    lengths = batch["cu_seqlens"].diff().tolist()
    rows = {name: batch[name].split(lengths) for name in ("input_ids", "labels")}
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "input_ids": pad(rows["input_ids"], batch_first=True),
        "attention_mask": pad([torch.ones(n) for n in lengths], batch_first=True),
        "labels": pad(rows["labels"], batch_first=True, padding_value=-100),
    }


class RandomBatches:
    """Other batches every step, always the same ones for the same step."""

    def __init__(self, accumulation: int = 1) -> None:
        self.accumulation = accumulation

    def batches(self, step: int) -> list[dict]:
        return [
            masked_batch(step_seed(1, step, i) % 2**31, (3 + i, 5, 2))
            for i in range(self.accumulation)
        ]


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(VOCABULARY - 5))]


def token_file(folder, sequences: int = 20, lengths: int = 10) -> TokenFile:
    """A corpus of sentences of so many lengths from 3 words up; a word follows its neighbour."""
    generator = torch.Generator().manual_seed(5)
    lines = []
    for _ in range(sequences):
        start, length = torch.randint(40, (2,), generator=generator).tolist()
        words = (f"w{(start + i) % (VOCABULARY - 5)}" for i in range(3 + length % lengths))
        lines.append(" ".join(words))
    text = folder.with_suffix(".txt")
    text.write_text("\n".join(lines), encoding="utf-8")
    tokenizer = DistilBertTokenizer({word: i for i, word in enumerate(WORDS)})
    return prepare(text, tokenizer, folder, max_length=16, min_tokens=3, progress=False)
