"""Which sequences make a batch, and the tensors of a batch.

    lengths --BatchPlan--> numbers of sequences --TokenFile--> ids --pack or pad--> batch

A plan is a pure function of the lengths, the seed and the epoch. So a position, the number of the
epoch and of the batch in it, is all that a run has to remember to go on.

Source of the groups by length: Sanh et al. 2019, arXiv 1910.01108, `grouped_batch_sampler.py`.
Not here: masks (`masking.py`).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from minidistil.arguments import whole


class BatchPlan:
    """Batches of an epoch, for one of several processes ("ranks").

    Every sequence is in exactly one batch of one rank. Ranks have equally many batches: where their
    number does not divide, the largest are halved until it does. Only where no batch has a second
    sequence to give, the last ones, fewer than there are ranks, are left to another epoch.

    Args:
        lengths: (n,), tokens of each sequence.
        tokens_per_batch: Fill batches, in random order, up to so many tokens; for `pack`.
        padded: Count padding, too: sequences of similar length share a batch; for `pad`.
        batch_size: Or so many sequences of similar length, so that `pad` adds little: lengths that
            differ by less than 4 share a bin, a batch comes from one bin, and what is left of the
            bins makes the last batches, in the order of length.
        seed: 0 or more; draws the order of every epoch.
        rank: Which process this is.
        world_size: How many there are.

    Raises:
        ValueError: Not one of the two sizes, a sequence longer than a batch, no such rank, or
            fewer sequences than ranks.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        *,
        tokens_per_batch: int | None = None,
        padded: bool = False,
        batch_size: int | None = None,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if (tokens_per_batch is None) == (batch_size is None):
            raise ValueError("give one of tokens_per_batch and batch_size")
        if not 0 <= rank < world_size <= len(lengths):
            raise ValueError(
                f"rank={rank} of world_size={world_size} with {len(lengths)} sequences"
            )
        self._lengths = np.asarray(lengths, np.int64)
        self._in_tokens, self._padded = batch_size is None, padded
        size = tokens_per_batch if batch_size is None else batch_size
        self._size = whole("the size of a batch", size, least=1)
        self._seed, self._rank, self._world_size = whole("seed", seed), rank, world_size
        if self._in_tokens and self._lengths.max() > self._size:
            raise ValueError(
                f"tokens_per_batch={self._size}, but sequence {self._lengths.argmax()} alone has "
                f"{self._lengths.max()} tokens"
            )
        # The epoch planned last: a run asks for it at each of its steps.
        self._number, self._planned = -1, [np.empty(0, np.int64)]

    def epoch(self, number: int) -> list[np.ndarray]:
        """Numbers of the sequences of each batch of this rank, (b,) int64 each."""
        if number != self._number:
            self._number, self._planned = number, self._plan(number)
        return self._planned

    def _plan(self, number: int) -> list[np.ndarray]:
        order = np.random.default_rng((self._seed, number)).permutation(len(self._lengths))
        batches = self._filled(order) if self._in_tokens else self._grouped(order)
        while rest := len(batches) % self._world_size:
            largest = max(range(len(batches)), key=lambda i: len(batches[i]))
            if len(batches[largest]) == 1:
                batches = batches[:-rest]
            else:
                batches[largest : largest + 1] = np.array_split(batches[largest], 2)
        return batches[self._rank :: self._world_size]

    def _filled(self, order: np.ndarray) -> list[np.ndarray]:
        if self._padded:
            return self._fitted(order)
        ends = np.cumsum(self._lengths[order])
        cuts, done = [], 0
        while done < ends[-1]:
            cuts.append(int(np.searchsorted(ends, done + self._size, side="right")))
            done = ends[cuts[-1] - 1]
        return np.split(order, cuts[:-1])

    def _fitted(self, order: np.ndarray) -> list[np.ndarray]:
        by_length = np.argsort(self._lengths[order], kind="stable")  # positions in `order`
        cuts, first = [], 0
        for place, length in enumerate(self._lengths[order[by_length]].tolist()):
            if (place - first + 1) * length > self._size:
                cuts.append(first := place)
        batches = np.split(by_length, cuts)
        batches.sort(key=np.max)  # a batch comes when its last sequence has been drawn
        return [order[positions] for positions in batches]

    def _grouped(self, order: np.ndarray) -> list[np.ndarray]:
        bins = (self._lengths[order] + 1) // 4  # the recipe's limits are 3, 7, 11, ...
        full, left = [], []
        by_bin = np.argsort(bins, kind="stable")  # positions in `order`, bin after bin
        for positions in np.split(by_bin, np.flatnonzero(np.diff(bins[by_bin])) + 1):
            whole_batches = len(positions) // self._size * self._size
            full += [*positions[:whole_batches].reshape(-1, self._size)]
            left.append(positions[whole_batches:])
        # A batch comes when its last sequence has been drawn, as if the order were a stream.
        full.sort(key=lambda positions: positions[-1])
        rest = np.concatenate(left)
        last = [rest[start : start + self._size] for start in range(0, len(rest), self._size)]
        return [order[positions] for positions in [*full, *last]]


def pack(sequences: Sequence[np.ndarray]) -> dict[str, Tensor | int]:
    """Sequences end to end: `input_ids` (N,) int64, `cu_seqlens` (B+1,) int32, `max_seqlen`."""
    lengths = np.array([len(sequence) for sequence in sequences])
    return {
        "input_ids": torch.from_numpy(np.concatenate(sequences).astype(np.int64)),
        "cu_seqlens": torch.from_numpy(np.cumsum([0, *lengths]).astype(np.int32)),
        "max_seqlen": int(lengths.max()),
    }


def pad(sequences: Sequence[np.ndarray], pad_id: int) -> dict[str, Tensor]:
    """Sequences below each other: `input_ids` and `attention_mask`, (B, S) int64."""
    lengths = np.array([len(sequence) for sequence in sequences])
    real = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(real.shape, pad_id, np.int64)
    ids[real] = np.concatenate(sequences)
    mask = real.astype(np.int64)
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
