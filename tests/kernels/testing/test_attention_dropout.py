"""The laws of dropout in attention: eager and SDPA obey them, each notices its fault."""

import pytest
import torch
import torch.nn.functional as F

from minidistil.ops import resolve_attention
from minidistil_kernels.testing.attention_dropout import DROPOUT_LAWS, Case
from tests.kernels.testing.wrong import assert_notices, assert_refused

EAGER, SDPA = resolve_attention("eager").padded, resolve_attention("sdpa").padded


def dropping(drop):
    """Attention whose weights go through `drop(weights, p)`."""

    def padded(query, key, value, mask=None, *, dropout_p=0.0, **rest):
        weights = EAGER(query, key, value, mask, **rest | {"need_weights": True})[1]
        dropped = drop(weights, dropout_p)
        return dropped @ value, dropped

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


def shows_them_before_dropout(*inputs, need_weights=False, dropout_p=0.0, **rest):
    _, weights = EAGER(*inputs, need_weights=True, **rest)
    context, _ = EAGER(*inputs, dropout_p=dropout_p, **rest)
    return context, weights if need_weights else None


WRONG = {
    "drops_the_share": dropping(keeps_the_share),
    "draws_each_weight_anew": dropping(one_mask_for_all_heads),
    "follows_the_seed": dropping(always_the_same),
    "backward_sees_the_mask": dropping(draws_anew_backward),
    "shows_the_weights_it_used": shows_them_before_dropout,
}


def dropping_where(where):
    """Attention that drops nothing in other places."""

    def padded(query, *rest, dropout_p=0.0, **options):
        return EAGER(query, *rest, dropout_p=dropout_p if where(query) else 0.0, **options)

    return padded


ALSO_WRONG = {
    "ragged tiles": dropping_where(lambda query: query.shape[2] % 32 == 0),
    "half precision": dropping_where(lambda query: query.dtype == torch.float32),
    "three tiles": dropping_where(lambda query: query.shape[2] <= 128),
}


@pytest.mark.parametrize("what", ALSO_WRONG)
@pytest.mark.parametrize("law", ["drops_the_share", "backward_sees_the_mask"])
def test_is_refused(what, law):
    assert_refused(DROPOUT_LAWS, ALSO_WRONG[what], law)


@pytest.mark.parametrize(
    "padded", [EAGER, SDPA, dropping(F.dropout)], ids=["eager", "sdpa", "dropping"]
)
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

    # 32 columns in one call; in two of 16; in three, the last not full.
    for width in (64, 16, 12):
        keeps = Case(1, 1, 32, width).keeps(dropping(every_other))
        assert keeps.shape == (1, 1, 32, 32)
        assert keeps.unique(dim=-2).flatten().tolist() == [0.0, 2.0] * 16
