"""The laws of padded attention: eager and SDPA obey them, each notices what it is there for."""

import pytest
import torch
import torch.nn.functional as F

from minidistil.ops import resolve_attention
from minidistil_kernels.testing import check_attention
from minidistil_kernels.testing.attention import LAWS, Case
from minidistil_kernels.testing.attention_dropout import DROPOUT_LAWS
from minidistil_kernels.testing.attention_form import QKV
from tests.kernels.testing.wrong import (
    all_or_nothing,
    assert_notices,
    assert_refused,
    backward_once,
    by_default,
    changed,
    gapless,
    gapless_upstream,
    noisy,
    one_buffer,
    one_workspace,
    scratch,
    wide,
)

EAGER, SDPA = resolve_attention("eager"), resolve_attention("sdpa")
TWIN = EAGER.padded
OWN_LAWS = [law for law in LAWS if law not in DROPOUT_LAWS]


def right_softmax(scores, mask):
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask


def attention(
    softmax=right_softmax,
    before=lambda *inputs: inputs,
    weigh=lambda weights: weights,
):
    """Attention with one of its steps made wrong."""

    def padded(query, key, value, mask=None, *, scale=None, dropout_p=0.0, need_weights=False):
        query, key, value, mask = before(query, key, value, mask)
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        scores = query.float() @ key.float().transpose(-1, -2) * factor
        allowed = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
        weights = softmax(scores, allowed.expand_as(scores))
        context = (weigh(weights) @ value.float()).to(value.dtype)
        return context, weights.to(query.dtype) if need_weights else None

    return padded


def masked_afterwards(scores, mask):
    """Masked keys are left out of the sum of values, not of the sum of exponentials."""
    return scores.softmax(-1) * mask


def without_maximum(scores, mask):
    e = scores.exp() * mask
    return e / e.sum(-1, keepdim=True).clamp(min=1e-30)


def uniform_where_empty(scores, mask):
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1)


def minus_100(scores, mask):
    return (scores - 100.0 * ~mask).softmax(-1) * mask.any(-1, keepdim=True)


def causal(scores, mask):
    return right_softmax(scores, mask & torch.ones_like(mask).tril())


def weights_of_the_scores(query, key, value, mask=None, *, scale=None, need_weights=False, **rest):
    """Shows the weights as they are before the mask."""
    shown = TWIN(query, key, value, scale=scale, need_weights=True)[1]
    context, _ = TWIN(query, key, value, mask, scale=scale, **rest)
    return context, shown if need_weights else None


def ignores_scale(*inputs, scale=None, **options):
    return TWIN(*inputs, **options)


WRONG = {
    "close_to_sdpa": ignores_scale,
    # Right forward; the gradients of query and key are 0.
    "close_to_eager": attention(weigh=lambda weights: weights.detach()),
    "same_form": wide(TWIN),
    "weights_or_refusal": weights_of_the_scores,
    "inputs_stay": scratch(TWIN, "value"),
    "empty_query": attention(uniform_where_empty),
    "blind_to_masked": attention(minus_100),
    "within_values": attention(masked_afterwards),
    "shift_invariant": attention(before=lambda q, k, v, mask: (q, F.normalize(k, dim=-1), v, mask)),
    "permutable": attention(causal),
    "independent": attention(before=lambda q, k, v, mask: (q, k[:1].expand_as(k), v, mask)),
    "extreme": attention(without_maximum),
    "nan_stays": changed(TWIN, lambda context: context.nan_to_num()),
    "any_stride": gapless(TWIN, "key"),
    "any_upstream": gapless_upstream(TWIN),
    "repeatable": noisy(TWIN),
    "side_by_side": one_buffer(TWIN),
    "backward_twice": backward_once(TWIN),
    "alone": all_or_nothing(TWIN, *QKV),
}


def two_tiles(query, key, value, mask=None, **options):
    """Drops the keys past 128 where there are 130 or more."""
    if key.shape[2] >= 130:
        mask = None if mask is None else mask[..., :128]
        key, value = key[:, :, :128], value[:, :, :128]
    return TWIN(query, key, value, mask, **options)


def four_heads(query, key, value, mask=None, **options):
    """Heads beyond the fourth use the keys of the fourth."""
    return TWIN(query, key[:, torch.arange(key.shape[1]).clamp(max=3)], value, mask, **options)


def small_scales(*inputs, scale=None, **options):
    scale = None if scale is not None and scale > 0.11 else scale
    return TWIN(*inputs, scale=scale, **options)


@pytest.mark.parametrize(
    "wrong", [two_tiles, four_heads, small_scales, by_default(TWIN, scale=0.125)]
)
def test_is_refused(wrong):
    assert_refused(LAWS, wrong, "close_to_eager")


def nan_where_dropout_finds_no_key(query, key, value, mask=None, *, dropout_p=0.0, **rest):
    context, weights = TWIN(query, key, value, mask, dropout_p=dropout_p, **rest)
    if dropout_p and mask is not None:
        context = context.masked_fill(~mask.any(-1, keepdim=True), float("nan"))
    return context, weights


ALSO_WRONG = {
    "dropout without keys": (nan_where_dropout_finds_no_key, "empty_query"),
    "a mask read without its strides": (gapless(TWIN, "mask"), "any_stride"),
    "a workspace of all calls": (one_workspace(TWIN), "side_by_side"),
}


@pytest.mark.parametrize("what", ALSO_WRONG)
def test_is_refused_by(what):
    wrong, law = ALSO_WRONG[what]
    assert_refused(LAWS, wrong, law)


def test_parameters_may_have_any_name():
    """The model hands them over by place, up to the mask."""

    def named(q, k, v, m=None, *, scale=None, dropout_p=0.0, need_weights=False):
        return TWIN(q, k, v, m, scale=scale, dropout_p=dropout_p, need_weights=need_weights)

    report = check_attention(named, examples=1)
    assert report.holds, report


def test_eager_obeys():
    report = check_attention(EAGER.padded, EAGER.packed, examples=4)
    assert report.holds, report
    assert len(report.errors) == 4 * 3  # context and three gradients in three dtypes


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.check.__name__)
def test_sdpa_obeys(law):
    result = law.try_on(SDPA.padded, 4)
    if law.check.__name__ == "nan_stays":
        # PyTorch's kernel for CPUs takes a query of NaN for one without keys (torch 2.13).
        assert result.holds or result.reason == "AssertionError: NaN in a query was lost"
    else:
        assert result.holds, result


@pytest.mark.parametrize("law", OWN_LAWS, ids=lambda law: law.check.__name__)
def test_no_law_is_empty(law):
    assert_notices(law, WRONG)


def test_the_steps_are_right_before_one_is_made_wrong():
    for law in OWN_LAWS:
        result = law.try_on(attention(), 4)
        assert result.holds, result


def test_what_the_model_hands_over():
    """A keyword that the model uses must be there."""

    def without_need_weights(query, key, value, mask=None, *, scale=None, dropout_p=0.0):
        return TWIN(query, key, value, mask, scale=scale, dropout_p=dropout_p)

    (law,) = (law for law in LAWS if law.check.__name__ == "same_form")
    result = law.try_on(without_need_weights, 1)
    assert not result.holds and "need_weights" in result.reason


def test_cases_take_every_kind_of_mask():
    shapes = {}
    for kind in ("none", "all", "random", "one row empty", "nothing"):
        mask = Case(3, 2, 50, mask=kind).inputs()["mask"]
        shapes[kind] = (
            None if mask is None else (tuple(mask.shape), mask.sum(-1).flatten().tolist())
        )
    assert shapes["none"] is None
    assert shapes["all"] == ((3, 1, 1, 50), [50, 50, 50])
    assert shapes["nothing"] == ((3, 1, 1, 50), [0, 0, 0])
    assert all(0 < n < 50 for n in shapes["random"][1])
    first, *others = shapes["one row empty"][1]
    assert first == 0 and all(0 < n < 50 for n in others)
