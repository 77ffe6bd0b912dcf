"""The specification against arithmetic by hand, the fused kernel against the specification."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from minidistil.ops import AttentionImpl, resolve_attention
from minidistil.ops.attention import eager, sdpa
from tests.helpers.tolerances import assert_close


def test_worked_example():
    """One query, two keys, K = 1, by hand.

    q = 2, k = (0, ln 3 / 2), so the scores are q k / sqrt(1) = (0, ln 3) and the exponentials
    (1, 3). The weights are (1/4, 3/4); with values (8, 4) the context is 8/4 + 4 * 3/4 = 5.
    Masking the second key leaves weights (1, 0) and the context 8.
    """
    query = torch.tensor([2.0]).view(1, 1, 1, 1).expand(1, 1, 2, 1)
    key = torch.tensor([0.0, math.log(3) / 2]).view(1, 1, 2, 1)
    value = torch.tensor([8.0, 4.0]).view(1, 1, 2, 1)
    context, weights = eager(query, key, value, need_weights=True)
    torch.testing.assert_close(weights[0, 0, 0], torch.tensor([0.25, 0.75]))
    torch.testing.assert_close(context.flatten(), torch.tensor([5.0, 5.0]))
    mask = torch.tensor([True, False]).view(1, 1, 1, 2)
    context, weights = eager(query, key, value, mask, need_weights=True)
    assert weights[0, 0, 0].tolist() == [1, 0] and context.flatten().tolist() == [8, 8]


@st.composite
def problems(draw):
    """Query, key, value in float64, and a mask of any kind that may block whole rows."""
    batch, heads, length = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 9))
    width = draw(st.sampled_from([1, 3, 16]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.5, 3.0]))
    query, key, value = (
        torch.randn(batch, heads, length, width, generator=generator, dtype=torch.float64) * scale
        for _ in range(3)
    )
    kind = draw(st.sampled_from(["none", "key", "pairs", "additive"]))
    if kind == "none":
        return query, key, value, None
    shape = (batch, 1, 1, length) if kind == "key" else (batch, heads, length, length)
    mask = torch.rand(shape, generator=generator) > draw(st.sampled_from([0.2, 0.7, 1.0]))
    if kind == "additive":
        bias = torch.randn(shape, generator=generator, dtype=torch.float64)
        mask = bias.masked_fill(~mask, -torch.inf)
    return query, key, value, mask


@given(problems())
def test_sdpa_equals_eager(problem):
    tensors = [x.requires_grad_() for x in problem[:3]]
    results = []
    for attend in (eager, sdpa):
        context, _ = attend(*tensors, problem[3])
        gradients = torch.autograd.grad(context.square().sum(), tensors)
        results.append((context, *gradients))
        assert all(x.isfinite().all() for x in results[-1])
    for got, want in zip(results[1], results[0], strict=True):
        assert_close(got, want)


@given(problems())
def test_weights_are_a_distribution_over_allowed_keys(problem):
    query, key, value, mask = problem
    _, weights = eager(query, key, value, mask, need_weights=True)
    allowed = torch.ones(weights.shape, dtype=torch.bool)
    if mask is not None:
        allowed = (mask if mask.dtype == torch.bool else mask > -torch.inf).expand(weights.shape)
    assert (weights >= 0).all() and (weights[~allowed] == 0).all()
    torch.testing.assert_close(weights.sum(-1), allowed.any(-1).double())


@given(problems(), st.integers(0, 2**31))
def test_masked_keys_never_matter(problem, seed):
    """Whatever stands in a masked key or value, infinities and NaN aside, changes no bit."""
    query, key, value, mask = problem
    mask = torch.rand(query.shape[0], 1, 1, query.shape[2]) > 0.5
    hidden = ~mask.transpose(-1, -2)
    noise = torch.randn(key.shape, generator=torch.Generator().manual_seed(seed)).double() * 100
    for attend in (eager, sdpa):
        before, _ = attend(query, key, value, mask)
        after, _ = attend(query, torch.where(hidden, noise, key), value + noise * hidden, mask)
        assert torch.equal(before, after)


@given(problems(), st.randoms(use_true_random=False))
def test_permuting_the_batch_permutes_the_result(problem, random):
    order = list(range(len(problem[0])))
    random.shuffle(order)
    for attend in (eager, sdpa):
        whole, _ = attend(*problem)
        permuted, _ = attend(*(x if x is None else x[order] for x in problem))
        assert_close(permuted, whole[order])


@pytest.mark.parametrize("attend", [eager, sdpa])
def test_gradients_by_finite_differences(attend):
    tensors = [torch.randn(2, 1, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    mask = torch.tensor([[True, False, True], [False, False, False]])[:, None, None]
    assert gradcheck(lambda *qkv: attend(*qkv, mask)[0], tensors)


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_scale(name):
    query, key, value = torch.randn(3, 2, 2, 5, 4).unbind()
    attend = resolve_attention(name).padded
    assert_close(attend(query, key, value, scale=0.5)[0], attend(query, key, value)[0])
    assert (
        attend(query, key, value, scale=2.0)[0] - attend(query, key, value)[0]
    ).abs().max() > 0.1


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_non_contiguous_inputs(name):
    query, key, value = torch.randn(3, 2, 5, 2, 4).transpose(2, 3).unbind()
    assert not query.is_contiguous()
    attend = resolve_attention(name).padded
    expected, _ = eager(query.contiguous(), key.contiguous(), value.contiguous())
    assert_close(attend(query, key, value)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("length", [1, 7, 64, 65, 128])
def test_eager_in_half_precision(dtype, length):
    """At most twice the error of PyTorch's own kernel, against float64."""
    query, key, value = torch.randn(3, 2, 2, length, 16).unbind()
    mask = torch.rand(2, 1, 1, length) > 0.3
    mask[..., 0] = True
    half = [x.to(dtype) for x in (query, key, value)]
    exact, _ = eager(*(x.double() for x in half), mask)
    fused = torch.nn.functional.scaled_dot_product_attention(*half, attn_mask=mask)
    error = (eager(*half, mask)[0].double() - exact).abs().max()
    assert error <= 2 * (fused.double() - exact).abs().max() + torch.finfo(dtype).eps


def test_dropout_keeps_the_mean_and_drops_its_share():
    query, key, value = torch.randn(3, 1, 1, 256, 8).unbind()
    _, weights = eager(query, key, value, dropout_p=0.3, need_weights=True)
    _, whole = eager(query, key, value, need_weights=True)
    dropped = weights == 0
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.01)
    torch.testing.assert_close(weights[~dropped], whole[~dropped] / 0.7)


def test_resolving():
    assert resolve_attention("eager").padded is eager
    assert resolve_attention(eager) == AttentionImpl(eager)
    both = AttentionImpl(eager, lambda *_: None)
    assert resolve_attention(both) is both
    with pytest.raises(ValueError, match="'fast'.*eager.*sdpa"):
        resolve_attention("fast")
    with pytest.raises(TypeError, match="not 3"):
        resolve_attention(3)


def test_sdpa_has_no_weights():
    query = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match=r'set_attn_implementation\("eager"\)'):
        sdpa(query, query, query, need_weights=True)
