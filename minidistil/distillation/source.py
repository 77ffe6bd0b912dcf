"""The batches of a distillation run: sequences from disk, packed or padded, masked.

    TokenFile --BatchPlan--> numbers --pack or pad, Masking--> the batches of a step

Step number n is a place in an epoch, and both the order of an epoch and the masks of a step are
functions of their number and the seed. So a run goes on from the number of its step alone.

Not here: how sequences are chosen (`batches.py`), how they are masked (`masking.py`).
"""

from typing import Any

import numpy as np
import torch

from minidistil.distillation.batches import BatchPlan, pack, pad
from minidistil.distillation.data import TokenFile
from minidistil.distillation.masking import Masking, step_generator
from minidistil.training import processes
from minidistil.training.objective import Batch


class MaskedBatches:
    """A `Source` of masked batches for this process.

    Attributes:
        epoch_steps: How many steps each epoch looked at so far has.
    """

    def __init__(
        self,
        data: TokenFile,
        *,
        tokens_per_batch: int,
        accumulation: int = 1,
        seed: int = 56,
        padded: bool = False,
        masked: bool = True,
        **masking: float,
    ) -> None:
        """Plan the batches.

        Args:
            data: The corpus.
            tokens_per_batch: At most so many tokens in a batch of one process, padding included.
            accumulation: Batches of a process in a step. The last step of an epoch may have fewer;
                none is lost.
            seed: Of order and masks.
            padded: Make padded batches, for what can't take packed ones, such as torch.compile.
            masked: Hide some tokens. Where no loss needs a masked word, hiding it only keeps the
                student from seeing what its teacher says of whole texts.
            **masking: As in `Masking`: proportion, mask, keep, random, smoothing.

        Raises:
            ValueError: As `BatchPlan` and `Masking`, or an accumulation below 1.
        """
        if accumulation < 1:
            raise ValueError(f"accumulation is {accumulation}, expected 1 or more")
        self.data, self.padded, self.seed = data, padded, seed
        special = data.meta["special_ids"]
        self.accumulation, self.pad_id = accumulation, special["pad"]
        self.masking = None
        if masked:
            self.masking = Masking(data.counts, special["mask"], special.values(), **masking)
        self.plan = BatchPlan(
            data.lengths,
            tokens_per_batch=tokens_per_batch,
            padded=padded,
            seed=seed,
            rank=processes.rank(),
            world_size=processes.world_size(),
        )
        self.epoch_steps: list[int] = []

    def steps(self, epochs: int) -> int:
        """How many steps so many epochs have."""
        for epoch in range(len(self.epoch_steps), epochs):
            self.epoch_steps.append(-(-len(self.plan.epoch(epoch)) // self.accumulation))
        return sum(self.epoch_steps[:epochs])

    def batches(self, step: int) -> list[Batch]:
        """The batches of a step, a function of its number alone."""
        epoch = 0
        while step >= self.steps(epoch + 1):
            epoch += 1
        first = (step - self.steps(epoch)) * self.accumulation
        chosen = self.plan.epoch(epoch)[first : first + self.accumulation]
        generator = step_generator(self.seed, step, processes.rank())
        return [self._batch(numbers, generator) for numbers in chosen]

    def _batch(self, numbers: np.ndarray, generator: torch.Generator) -> dict[str, Any]:
        sequences = [self.data[int(number)] for number in numbers]
        batch = pad(sequences, self.pad_id) if self.padded else pack(sequences)
        return batch if self.masking is None else self.masking(batch, generator)
