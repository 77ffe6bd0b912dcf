"""Which words are hidden, and by what.

Of the n places of a batch that are real tokens and not special, ceil(0.15 n) are chosen, no place
twice, and place i with a weight of

    w_i = max(count of its token in the corpus, 1)^-0.7

A text is mostly of, the and a comma, and a student that practised those would learn little else:
the power lets rare words be chosen more often than their share. (The library counts special tokens
in n, too, and never chooses them either.)

Of the chosen 80 % become [MASK], 10 % become any id from 0 to V - 1, and 10 % stay as they are:
else a model would learn that a word that it sees needs no thought. The label of a chosen place is
what stood there before; every other label is -100, which the loss ignores.

Shapes: ids (B, S), int64; real (B, S), boolean; special (any,), the ids never chosen; counts (V,).
Places index ids.flatten(). All chance comes from the generator. Where n is 0 nothing is chosen.
Source: Sanh et al. 2019, arXiv 1910.01108; Devlin et al. 2018, arXiv 1810.04805, 3.1;
minidistil/distillation/masking.py.
"""

import math

import torch
from torch import Generator, Tensor


def choose(
    ids: Tensor, real: Tensor, special: Tensor, counts: Tensor, generator: Generator
) -> Tensor:
    """The places to hide, as indices into ids.flatten()."""
    # answer
    weights = counts[ids].double().clamp(min=1) ** -0.7
    weights[~real | torch.isin(ids, special)] = 0.0
    number = math.ceil(0.15 * int(weights.count_nonzero()))
    if number == 0:
        return torch.tensor([], dtype=torch.int64)
    return torch.multinomial(weights.flatten(), number, generator=generator)
    # end


def hide(
    ids: Tensor, places: Tensor, mask_id: int, V: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """The ids with these places hidden, and the labels, both of the shape of ids."""
    masked, labels = ids.flatten().clone(), torch.full_like(ids, -100).flatten()
    # answer
    original = masked[places]
    fate = torch.rand(len(places), generator=generator)
    other = torch.randint(V, (len(places),), generator=generator)
    labels[places] = original
    masked[places] = torch.where(fate < 0.8, mask_id, torch.where(fate < 0.9, other, original))
    # end
    return masked.view(ids.shape), labels.view(ids.shape)
