"""The laws of dropout in packed attention: eager and SDPA obey them, each notices its fault."""

from itertools import pairwise

import pytest
import torch

from minidistil.ops import resolve_attention
from minidistil_kernels.testing.attention_packed_dropout import PACKED_DROPOUT_LAWS, as_padded
from tests.kernels.testing import test_attention_dropout as of_padded
from tests.kernels.testing.wrong import assert_notices, assert_refused

EAGER, SDPA = resolve_attention("eager"), resolve_attention("sdpa")


def as_packed(padded):
    """Text by text."""

    def packed(query, key, value, cu_seqlens, max_seqlen, **options):
        texts = []
        for begin, end in pairwise(cu_seqlens.tolist()):
            q, k, v = (x[begin:end].transpose(0, 1)[None] for x in (query, key, value))
            texts.append(padded(q, k, v, **options)[0][0].transpose(0, 1))
        return torch.cat(texts)

    return packed


def the_same_for_all_texts(query, key, value, *rest, **options):
    """Every text starts from the same seed."""
    torch.manual_seed(torch.initial_seed())
    return EAGER.padded(query, key, value, *rest, **options)


WRONG = {name: as_packed(padded) for name, padded in of_padded.WRONG.items()} | {
    "draws_each_weight_anew": as_packed(the_same_for_all_texts)
}


@pytest.mark.parametrize("packed", [EAGER.packed, SDPA.packed], ids=["eager", "sdpa"])
@pytest.mark.parametrize("law", PACKED_DROPOUT_LAWS, ids=lambda law: law.check.__name__)
def test_right_ones_obey(law, packed):
    result = law.try_on(packed, 5)
    assert result.holds, result


@pytest.mark.parametrize("law", PACKED_DROPOUT_LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


def test_one_without_dropout_is_refused():
    def ignores_dropout(*inputs, dropout_p=0.0, **options):
        return EAGER.packed(*inputs, **options)

    assert_refused(PACKED_DROPOUT_LAWS, ignores_dropout, "drops_the_share")


def test_one_without_dropout_in_long_texts_is_refused():
    def short_texts(query, key, value, ends, longest, *, dropout_p=0.0, **options):
        dropout_p = dropout_p if longest <= 70 else 0.0
        return EAGER.packed(query, key, value, ends, longest, dropout_p=dropout_p, **options)

    assert_refused(PACKED_DROPOUT_LAWS, short_texts, "drops_the_share")


def test_texts_of_a_padded_batch():
    query, key, value = torch.randn(3, 2, 4, 5, 16).unbind()
    expected, _ = EAGER.padded(query, key, value)
    actual, weights = as_padded(EAGER.packed)(query, key, value)
    torch.testing.assert_close(actual, expected)
    assert weights is None
