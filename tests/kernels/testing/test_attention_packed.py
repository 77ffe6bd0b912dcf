"""The laws of packed attention: eager and SDPA obey them, each notices what it is there for."""

from itertools import pairwise

import pytest
import torch

from minidistil.ops import resolve_attention
from minidistil_kernels.testing import check_attention
from minidistil_kernels.testing.attention_form import QKV
from minidistil_kernels.testing.attention_packed import PACKED_LAWS
from minidistil_kernels.testing.attention_packed_dropout import PACKED_DROPOUT_LAWS
from tests.kernels.testing.wrong import (
    all_or_nothing,
    assert_notices,
    backward_once,
    gapless,
    gapless_upstream,
    noisy,
    one_buffer,
    scratch,
)

EAGER, SDPA = resolve_attention("eager"), resolve_attention("sdpa")
TWIN = EAGER.packed


def ignores_scale(*inputs, scale=None, **options):
    return TWIN(*inputs, **options)


def one_text(query, key, value, cu_seqlens, max_seqlen, **options):
    """Every token attends to all of the batch."""
    everything = cu_seqlens[[0, -1]]
    return TWIN(query, key, value, everything, max_seqlen, **options)


def padded_with_zeros(query, key, value, cu_seqlens, max_seqlen, *, scale=None, **options):
    """Keys of padding are 0, and so are their scores: exp(0) counts."""
    context = torch.zeros_like(query)
    for begin, end in pairwise(cu_seqlens.tolist()):
        q, k, v = (
            torch.cat([x[begin:end], x.new_zeros(max_seqlen - (end - begin), *x.shape[1:])])
            for x in (query, key, value)
        )
        rows = EAGER.padded(*(x.transpose(0, 1)[None] for x in (q, k, v)), scale=scale)[0]
        context[begin:end] = rows[0].transpose(0, 1)[: end - begin]
    return context


WRONG = {
    "accurate": ignores_scale,
    "same_form": lambda *inputs, **options: (TWIN(*inputs, **options), None),
    "inputs_stay": scratch(TWIN, "cu_seqlens"),
    "texts_are_apart": one_text,
    "longest_is_a_bound": padded_with_zeros,
    "any_stride": gapless(TWIN, "key"),
    "any_upstream": gapless_upstream(TWIN),
    "repeatable": noisy(TWIN),
    "side_by_side": one_buffer(TWIN),
    "backward_twice": backward_once(TWIN),
    "alone": all_or_nothing(TWIN, *QKV),
}


@pytest.mark.parametrize("law", PACKED_LAWS, ids=lambda law: law.check.__name__)
def test_sdpa_obeys(law):
    result = law.try_on(SDPA.packed, 5)
    assert result.holds, result


@pytest.mark.parametrize("law", PACKED_LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


def test_a_wrong_packed_form_fails_the_report():
    right = check_attention(EAGER.padded, examples=1)
    wrong = check_attention(EAGER.padded, one_text, examples=4)
    assert right.holds and not wrong.holds
    more = wrong.results[len(right.results) :]
    assert len(more) == len(PACKED_LAWS) + len(PACKED_DROPOUT_LAWS)
    failed = [result for result in wrong.results if not result.holds]
    assert all(result in more for result in failed), failed
