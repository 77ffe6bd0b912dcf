"""The laws of dropout inside packed attention: those of the padded form, on texts of one length.

Not here: the laws themselves (`attention_dropout.py`), packed attention without dropout
(`attention_packed.py`). Padded and packed need not drop the same weights: eager attention does not.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from minidistil_kernels.testing import attention_dropout as of_padded
from minidistil_kernels.testing.attention_dropout import CASES, Case
from minidistil_kernels.testing.attention_form import Packed, Padded
from minidistil_kernels.testing.report import Law


def as_padded(packed: Packed) -> Padded:
    """`packed` on the texts of a padded batch without padding.

    A text of one token goes first, so that no other begins at a multiple of its length.
    """

    def padded(
        query: Tensor, key: Tensor, value: Tensor, mask: None = None, **options: Any
    ) -> tuple[Tensor, None]:
        batch, _, length, _ = query.shape
        rows = [x.transpose(1, 2).flatten(0, 1) for x in (query, key, value)]
        q, k, v = (torch.cat([x[:1], x]) for x in rows)
        ends = torch.arange(0, batch * length + 1, length, device=query.device) + 1
        cu_seqlens = torch.cat([ends.new_zeros(1), ends]).int()
        context = packed(
            query=q, key=k, value=v, cu_seqlens=cu_seqlens, max_seqlen=length, **options
        )
        return context[1:].unflatten(0, (batch, length)).transpose(1, 2), None

    return padded


def drops_the_share(fn: Packed, case: Case) -> None:
    """Packed dropout drops the share it is told to, and divides what stays by 1 - p."""
    of_padded.drops_the_share(as_padded(fn), case)


def draws_each_weight_anew(fn: Packed, case: Case) -> None:
    """No two packed texts, heads, queries or keys share their random numbers."""
    of_padded.draws_each_weight_anew(as_padded(fn), case)


def follows_the_seed(fn: Packed, case: Case) -> None:
    """Packed, too, torch's seed decides what is dropped, and the next call drops others."""
    of_padded.follows_the_seed(as_padded(fn), replace(case, mask="none"))


def backward_sees_the_mask(fn: Packed, case: Case) -> None:
    """Packed, too, the backward pass drops the weights that the forward pass dropped."""
    of_padded.backward_sees_the_mask(as_padded(fn), replace(case, mask="none"))


HARD = (Case(2, 2, 70, 128, 0.1, torch.float16),)
PACKED_DROPOUT_LAWS = [
    # Long texts cost much: they are tried once.
    Law(drops_the_share, CASES, (*HARD, Case(1, 1, 130, 128))),
    *(
        Law(check, CASES, HARD)
        for check in (draws_each_weight_anew, follows_the_seed, backward_sees_the_mask)
    ),
]
