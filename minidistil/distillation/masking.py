"""Dynamic masking: which tokens of a batch are hidden, and by what.

    batch --pack or pad, batches.py--> Masking --input_ids changed, labels--> teacher, student

Of a batch of N tokens ceil(0.15 N) are chosen, without replacement, token i with a weight of

    w_i = max(count_i, 1)^-0.7   (0 for special tokens and padding)

so that rare words are chosen more often than their share. Of the chosen 80 % become [MASK], 10 %
stay, 10 % become a random token of the whole vocabulary; the labels are what stood there.

Source: Sanh et al. 2019, arXiv 1910.01108, `distiller.py`; the power is that of XLM, arXiv
1901.07291.
Not here: the recipe's rounding to multiples of 8 for half precision.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minidistil.heads.base import IGNORE_INDEX
from minidistil.training.settings import step_seed


class Masking:
    """Masks batches, on the CPU.

    Args:
        counts: (V,), how often each id occurs in the corpus.
        mask_id: Id of [MASK].
        special_ids: Never chosen.
        proportion: Share of a batch's tokens that is chosen, special tokens counted.
        mask: Share of the chosen that becomes [MASK].
        keep: Share that stays.
        random: Share that becomes a random token.
        smoothing: The power; 0 chooses every token with the same probability.

    Raises:
        ValueError: An id outside the vocabulary, or shares that are none.
    """

    def __init__(
        self,
        counts: np.ndarray | Tensor,
        mask_id: int,
        special_ids: Iterable[int],
        *,
        proportion: float = 0.15,
        mask: float = 0.8,
        keep: float = 0.1,
        random: float = 0.1,
        smoothing: float = 0.7,
    ) -> None:
        special = sorted({mask_id, *special_ids})
        if not 0 <= special[0] <= special[-1] < len(counts):
            raise ValueError(f"special ids {special} are not all among {len(counts)} counts")
        if not 0 < proportion <= 1:
            raise ValueError(f"proportion={proportion} is no share above 0, up to 1")
        if min(mask, keep, random) < 0 or not math.isclose(mask + keep + random, 1):
            raise ValueError(f"mask={mask}, keep={keep} and random={random} are no shares of 1")
        # float64: the weights of frequent and of rare tokens are far apart.
        self._weights = torch.as_tensor(counts, dtype=torch.float64).clamp(min=1) ** -smoothing
        self._weights[special] = 0
        self._mask_id, self._proportion = mask_id, proportion
        self._fates = torch.tensor([mask, keep, random], dtype=torch.float64)

    def __call__(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Any]:
        """Mask a packed or a padded batch.

        Args:
            batch: `input_ids` (N,), or `input_ids` and `attention_mask` (B, S); is left as it is.
            generator: Such as `step_generator`'s.

        Returns:
            The batch with other `input_ids`, and `labels` of their shape: -100 where nothing was
            chosen. Where the batch has fewer tokens that may be chosen than should be, all are.

        Raises:
            ValueError: An id that has no count.
        """
        every, vocab_size = batch["input_ids"], len(self._weights)
        if every.numel() and not 0 <= every.min() <= every.max() < vocab_size:
            raise ValueError(
                f"input_ids hold {every.min()} to {every.max()}, beyond {vocab_size} counts"
            )
        masked, labels = every.clone(), torch.full_like(every, IGNORE_INDEX)
        # Real tokens alone, in a row: padded or packed, the same ones are chosen.
        real = batch.get("attention_mask", torch.ones_like(every)) != 0
        ids: Tensor = every[real]
        weights = self._weights[ids]
        count = min(math.ceil(self._proportion * len(ids)), int(weights.count_nonzero()))
        if count:
            chosen = torch.multinomial(weights, count, generator=generator)
            fate = torch.multinomial(self._fates, count, replacement=True, generator=generator)
            random = torch.randint(vocab_size, (count,), generator=generator)
            kept = torch.where(fate == 1, ids[chosen], random)
            where = real.nonzero()[chosen].unbind(1)
            labels[where] = ids[chosen]
            masked[where] = torch.where(fate == 0, self._mask_id, kept)
        return {**batch, "input_ids": masked, "labels": labels}


def step_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """The random numbers of one step of one process: the same whenever they are needed again."""
    # Another use than dropout's: masks and dropout of one step must not be drawn alike.
    return torch.Generator().manual_seed(step_seed(seed, step, rank, use=1))
