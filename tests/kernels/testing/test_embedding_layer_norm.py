"""The laws of embedding + LayerNorm: the twin obeys them, and each notices what it is there for."""

import pytest
import torch
import torch.nn.functional as F

from minidistil_kernels import reference
from minidistil_kernels.testing import check_embedding_layer_norm
from minidistil_kernels.testing.embedding_layer_norm import DIFFERENTIABLE, LAWS
from tests.kernels.testing.wrong import (
    all_or_nothing,
    assert_notices,
    assert_refused,
    backward_once,
    by_default,
    gapless,
    gapless_upstream,
    ignores,
    noisy,
    one_buffer,
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


def forgets_repeated_ids(
    input_ids, position_ids, word, position, *rest, eps=1e-12, padding_idx=None, **more
):
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
    "side_by_side": one_buffer(TWIN),
    "backward_twice": backward_once(TWIN),
    "alone": all_or_nothing(TWIN, *DIFFERENTIABLE),
    "padding_learns_nothing": lambda **inputs: TWIN(**inputs | {"padding_idx": None}),
    "permutable": counts_positions_itself,
    "any_upstream": gapless_upstream(TWIN),
}


def counts_where_positions_start_at_0(input_ids, position_ids, **rest):
    if (position_ids[..., 0] == 0).all():
        return counts_positions_itself(input_ids, position_ids, **rest)
    return TWIN(input_ids, position_ids, **rest)


def padding_is_row_0(padding_idx=None, **rest):
    return TWIN(padding_idx=None if padding_idx is None else 0, **rest)


def padding_from_the_end_is_none(padding_idx=None, **rest):
    return TWIN(padding_idx=padding_idx if (padding_idx or 0) >= 0 else None, **rest)


ALSO_WRONG = {
    "eps": ignores(TWIN, "eps"),
    "another default": by_default(TWIN, eps=1e-5),
    "another padding": padding_is_row_0,
    "padding from the end": padding_from_the_end_is_none,
    "short integers": refuses(TWIN, lambda input_ids, **rest: input_ids.dtype == torch.int32),
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


@pytest.mark.parametrize("name", ["input_ids", "position_ids"])
def test_ids_read_without_their_strides_are_refused(name):
    assert_refused(LAWS, gapless(TWIN, name), "any_stride")


@pytest.mark.parametrize("wrong", [padding_is_row_0, padding_from_the_end_is_none])
def test_the_row_of_padding_may_be_any(wrong):
    assert_refused(LAWS, wrong, "padding_learns_nothing")
