"""What is run: a model, batches of it, how often and where.

    lengths of the texts --Work--> ids, mask (B, S) | ids (N,), boundaries | lists of ids

Ids are random and seeded, and so are weights: time depends on shapes, not on what a text says.
(The error of few bits does depend on weights: those of a trained model have larger outliers.)

Not here: how it is timed (`timing.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minidistil.arguments import usable_device, whole
from minidistil.config import DistilBertConfig

# Two narrow blocks: to see that a benchmark runs, not to learn anything of its numbers.
SMALL = {"vocab_size": 1000, "n_layers": 2, "n_heads": 2, "dim": 32, "hidden_dim": 64}
FIRST_ID = 103  # below it are the special and the unused tokens of BERT's vocabulary


@dataclass(frozen=True)
class Work:
    """A batch of texts, by their lengths.

    Args:
        name: As it stands in a table.
        lengths: Tokens of each text, all positive.

    Raises:
        ValueError: No text, or one without a token.
    """

    name: str
    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 1:
            raise ValueError(f"{self.name!r} needs texts of one token or more: {self.lengths}")

    @property
    def tokens(self) -> int:
        """Real tokens, N."""
        return sum(self.lengths)

    @property
    def shape(self) -> tuple[int, int]:
        """(B, S) of the padded batch."""
        return len(self.lengths), max(self.lengths)

    @property
    def fill(self) -> float:
        """The share of real tokens in the padded batch."""
        return self.tokens / (self.shape[0] * self.shape[1])

    def padded(self, vocab_size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Random ids and the mask of real tokens, int64 (B, S); 0 where padding is."""
        generator = torch.Generator().manual_seed(seed)
        mask = torch.arange(self.shape[1]) < torch.tensor(self.lengths)[:, None]
        ids = torch.randint(FIRST_ID, vocab_size, self.shape, generator=generator)
        return ids * mask, mask.long()


def mixed(count: int, longest: int, fill: float, seed: int = 0) -> tuple[int, ...]:
    """Log-normal lengths as of real texts, in no order, the longest of which is `longest`.

    The width of the distribution is the one that gives the fill.

    Args:
        count: Texts, B.
        longest: Tokens of the longest.
        fill: Mean length over `longest`, up to rounding.
        seed: Of the draw.

    Raises:
        ValueError: A fill that `count` texts can't have.
    """
    if not 1 / count + 1 / longest < fill < 1:
        raise ValueError(f"{count} texts of up to {longest} tokens can't fill {fill:.0%}")
    normal = np.random.default_rng(seed).standard_normal(count)
    below = normal - normal.max()  # 0 for the longest
    low, high = 0.0, 100.0
    lengths = np.full(count, longest)
    for _ in range(50):  # the wider the distribution, the shorter all others are
        sigma = (low + high) / 2
        lengths = np.maximum(np.rint(longest * np.exp(sigma * below)), 1)
        low, high = (sigma, high) if lengths.mean() > fill * longest else (low, sigma)
    return tuple(int(n) for n in lengths)


ROWS = (
    Work("1 x 16", (16,)),
    Work("1 x 128", (128,)),
    Work("8 mixed", mixed(8, 256, 0.39)),
    Work("32 mixed", mixed(32, 256, 0.34)),
)


@dataclass(frozen=True)
class Setting:
    """What all benchmarks have in common.

    Args:
        fields: Of `DistilBertConfig`; what is not named is distilbert-base's.
        rows: The batches.
        rounds: How often each is timed.
        device: Such as "cpu" or "cuda".
        rest: Seconds of sleep before each timing: threads of the engine before may still spin.

    Raises:
        ValueError: No round, a device that is not there, fields that make no model.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Work] = ROWS
    rounds: int = 10
    device: str = "cpu"
    rest: float = 0.05

    def __post_init__(self) -> None:
        whole("rounds", self.rounds, least=1)
        usable_device(self.device)
        self.config()

    def config(self, **changes: Any) -> DistilBertConfig:
        """The config, with some fields changed."""
        return DistilBertConfig(**{**self.fields, **changes})
