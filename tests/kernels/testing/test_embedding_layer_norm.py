"""The laws of embedding + LayerNorm: the twin obeys them, and each notices what it is there for."""

import pytest
import torch
import torch.nn.functional as F

from minidistil_kernels import reference
from minidistil_kernels.testing import check_embedding_layer_norm
from minidistil_kernels.testing.embedding_layer_norm import LAWS
from tests.kernels.testing.wrong import (
    assert_notices,
    assert_refused,
    gapless,
    gapless_upstream,
    ignores,
    noisy,
    refuses,
    scratch,
    wide,
)

TWIN = reference.embedding_layer_norm


class LastWins(torch.autograd.Function):
    """A gather whose backward stores where it should add: of repeated ids, one counts."""

    @staticmethod
    def forward(ctx, table, ids):
        ctx.save_for_backward(ids)
        ctx.shape = table.shape
        return table[ids]

    @staticmethod
    def backward(ctx, dy):
        (ids,) = ctx.saved_tensors
        gradient = dy.new_zeros(ctx.shape)
        gradient[ids] = dy
        return gradient, None


def forgets_repeated_ids(input_ids, position_ids, word, position, *rest, eps, padding_idx, **more):
    words = LastWins.apply(word, input_ids)
    positions = F.embedding(position_ids, position).expand_as(words)
    return reference.add_layer_norm(words, positions, *rest, eps=eps, **more)


def counts_positions_itself(input_ids, position_ids, **rest):
    order = torch.arange(input_ids.shape[-1], device=input_ids.device)
    return TWIN(input_ids, order, **rest)


WRONG = {
    "accurate": forgets_repeated_ids,
    "same_form": wide(TWIN),
    "inputs_stay": scratch(TWIN, "input_ids"),
    "any_stride": gapless(TWIN, "word"),
    "repeatable": noisy(TWIN),
    "padding_learns_nothing": lambda **inputs: TWIN(**inputs | {"padding_idx": None}),
    "permutable": counts_positions_itself,
    "any_upstream": gapless_upstream(TWIN),
}


def counts_where_positions_start_at_0(input_ids, position_ids, **rest):
    if (position_ids[..., 0] == 0).all():
        return counts_positions_itself(input_ids, position_ids, **rest)
    return TWIN(input_ids, position_ids, **rest)


ALSO_WRONG = {
    "eps": ignores(TWIN, "eps"),
    "positions that restart": counts_where_positions_start_at_0,
    "packed": refuses(TWIN, lambda input_ids, **rest: input_ids.ndim == 1),
    "choices": refuses(TWIN, lambda input_ids, **rest: input_ids.ndim == 3),
    "each text its positions": refuses(TWIN, lambda position_ids, **rest: position_ids.ndim > 1),
}


def test_the_twin_obeys():
    report = check_embedding_layer_norm(TWIN, examples=5)
    assert report.holds, report
    assert len(report.errors) == 5 * 3  # result and four gradients in three dtypes


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


@pytest.mark.parametrize("what", ALSO_WRONG)
def test_is_refused(what):
    assert_refused(LAWS, ALSO_WRONG[what], "accurate")
