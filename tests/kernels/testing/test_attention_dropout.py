"""The laws of dropout in attention: eager and SDPA obey them, each notices its fault."""

import pytest
import torch
import torch.nn.functional as F

from minidistil.ops import resolve_attention
from minidistil_kernels.testing.attention_dropout import DROPOUT_LAWS, Case
from tests.kernels.testing.wrong import assert_notices

EAGER, SDPA = resolve_attention("eager").padded, resolve_attention("sdpa").padded


def dropping(drop):
    """Attention whose weights go through `drop(weights, p)`."""

    def padded(query, key, value, mask=None, *, dropout_p=0.0, **rest):
        weights = EAGER(query, key, value, mask, need_weights=True, **rest)[1]
        return drop(weights, dropout_p) @ value, None

    return padded


def keeps_the_share(weights, p):
    """Takes the probability of dropping for that of keeping."""
    return F.dropout(weights, 1 - p) * p / (1 - p) if p else weights


def forgets_to_divide(weights, p):
    return F.dropout(weights, p) * (1 - p)


def one_mask_for_all_heads(weights, p):
    return weights * F.dropout(torch.ones_like(weights[:, :1]), p)


def always_the_same(weights, p):
    generator = torch.Generator().manual_seed(7)
    u = torch.rand(weights.shape, generator=generator)
    return weights * (u >= p) / (1 - p)


def draws_anew_backward(weights, p):
    """The gradient is that of a mask drawn again."""
    first, second = F.dropout(weights, p), F.dropout(weights, p)
    return second + (first - second).detach()


WRONG = {
    "drops_the_share": dropping(keeps_the_share),
    "draws_each_weight_anew": dropping(one_mask_for_all_heads),
    "follows_the_seed": dropping(always_the_same),
    "backward_sees_the_mask": dropping(draws_anew_backward),
}


@pytest.mark.parametrize("padded", [EAGER, SDPA, dropping(F.dropout)], ids=str)
@pytest.mark.parametrize("law", DROPOUT_LAWS, ids=lambda law: law.check.__name__)
def test_right_ones_obey(law, padded):
    result = law.try_on(padded, 5)
    assert result.holds, result


@pytest.mark.parametrize("law", DROPOUT_LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


def test_the_share_is_divided_by_what_stays():
    result = DROPOUT_LAWS[0].try_on(dropping(forgets_to_divide), 5)
    assert not result.holds
    assert "neither 0 nor" in result.reason and "dropout_p=0.1" in result.smallest_case


def test_the_mask_is_seen_through_the_identity():
    """Dropping every other key leaves 0 and 1 / (1 - 0.5) = 2 of each row of weights."""

    def every_other(weights, p):
        kept = torch.arange(weights.shape[-1]) % 2
        return weights * kept / (1 - p) if p else weights

    keeps = Case(1, 1, 32, 0.5).keeps(dropping(every_other))
    assert keeps.shape == (1, 1, 32, 32)
    assert keeps.unique(dim=-2).flatten().tolist() == [0.0, 2.0] * 16
