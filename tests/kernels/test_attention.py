"""The attention kernel: what is its own. Its laws are in `tests/ops/test_triton_attention.py`,
what it refuses in `test_attention_errors.py`.

Two texts, of 40 and 23 tokens, are one batch here, padded or packed; width 40 is no power of two.
"""

import math
from importlib import import_module

import pytest
import torch

from minidistil_kernels import attention, reference
from minidistil_kernels.attention_backward import backward_tile
from minidistil_kernels.attention_forward import Tile, forward_tile
from minidistil_kernels.lab import meter
from minidistil_kernels.testing import drawing
from minidistil_kernels.testing.accuracy import assert_accurate, measure
from tests.helpers.kernels import interpreted
from tests.kernels.operators import assert_integrates

QKV = ("query", "key", "value")
LENGTHS = (40, 23)
FORMS = ["padded", "packed"]
# The package's function has the name of this module, and hides it.
module = import_module("minidistil_kernels.attention")
IN_UNITS = module._in_units


def batch(form, heads=2, width=40, dtype=torch.float32):
    """The two texts, padded with a key mask, or packed."""
    shape = (len(LENGTHS), heads, max(LENGTHS), width)
    inputs = {name: drawing.normal(i, shape, dtype) for i, name in enumerate(QKV)}
    if form == "padded":
        lengths = torch.tensor(LENGTHS, device=drawing.DEVICE)
        return inputs | {"key_mask": torch.arange(40, device=drawing.DEVICE) < lengths[:, None]}
    ends = torch.tensor([0, LENGTHS[0], sum(LENGTHS)], dtype=torch.int32, device=drawing.DEVICE)
    return {name: pack(x) for name, x in inputs.items()} | {"cu_seqlens": ends, "max_seqlen": 40}


def pack(x):
    """(B, H, S, ...) to (N, H, ...): the tokens of the texts, without padding."""
    return torch.cat([x[b, :, :length].transpose(0, 1) for b, length in enumerate(LENGTHS)])


def accurate(inputs):
    """Hold context and gradients to the rule, with the twin as PyTorch's own."""
    assert_accurate(measure(attention, reference.attention, reference.attention, inputs, QKV))


def gradients(context, inputs):
    """Those of a fixed projection of the context."""
    upstream = drawing.normal(7, context.shape, context.dtype)
    return torch.autograd.grad(context, [inputs[name] for name in QKV], upstream)


def test_worked_example():
    """Scores (0, ln 3) have exponentials (1, 3), weights (1/4, 3/4) and the lse ln 4.

    Of the values 0 and 4 that makes 3. With the second key masked: value 0 and lse ln 1 = 0.
    """
    query, key, value = (torch.zeros(1, 1, 2, 16, device=drawing.DEVICE) for _ in range(3))
    query[..., 0] = 1.0
    key[..., 1, 0] = math.log(3)
    value[..., 1, :] = 4.0
    context, lse = attention(query, key, value, scale=1.0, return_lse=True)
    torch.testing.assert_close(context, torch.full_like(context, 3.0))
    torch.testing.assert_close(lse, torch.full_like(lse, math.log(4)))
    mask = torch.tensor([[True, False]], device=drawing.DEVICE)
    context, lse = attention(query, key, value, mask, scale=1.0, return_lse=True)
    assert (context == 0).all() and (lse == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("form", FORMS)
def test_accurate(form, dtype):
    accurate(batch(form, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("form", FORMS)
def test_lse(form, dtype):
    """log sum_j e^(score_j): float32, the scale included and dropout not, and no gradient."""
    inputs = batch(form, dtype=dtype)
    wide = inputs | {name: inputs[name].double() for name in QKV}
    inputs |= {name: inputs[name].requires_grad_() for name in QKV}
    context, lse = attention(**inputs, scale=0.7, return_lse=True)
    expected = reference.attention(**wide, scale=0.7, return_lse=True)[1]
    torch.testing.assert_close(lse, expected.float(), atol=1e-5, rtol=1e-5)
    assert lse.dtype == torch.float32
    assert context.requires_grad and not lse.requires_grad
    dropped = attention(**inputs, scale=0.7, dropout_p=0.5, return_lse=True)[1]
    assert torch.equal(dropped, lse)


def test_lse_of_an_empty_query():
    inputs = batch("padded")
    inputs["key_mask"][1] = False
    lse = attention(**inputs, return_lse=True)[1]
    assert (lse[1] == -torch.inf).all() and lse[0].isfinite().all()


def test_a_text_without_keys():
    inputs = batch("padded")
    inputs["key_mask"][1] = False
    inputs |= {name: inputs[name].requires_grad_() for name in QKV}
    context = attention(**inputs)
    assert (context[1] == 0).all()
    for gradient in gradients(context, inputs):
        assert (gradient[1] == 0).all() and gradient[0].isfinite().all()


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_scores_that_all_overflow():
    """-inf, as if every key were masked: 0, where the specification has NaN. See the kernel."""
    query = torch.full((1, 1, 3, 16), 1e20, device=drawing.DEVICE)
    context, lse = attention(query, -query, query, return_lse=True)
    assert (context == 0).all() and (lse == -torch.inf).all()
    assert reference.attention(query, -query, query).isnan().all()


def test_scores_far_below_0():
    """All of -1.6e7: only the differences count, so that all three keys weigh the same."""
    query = torch.full((1, 1, 3, 16), 1e3, device=drawing.DEVICE)
    value = drawing.normal(0, (1, 1, 3, 16))
    context = attention(query, -query, value, scale=1.0)
    torch.testing.assert_close(context, value.mean(2, keepdim=True).expand_as(value))


def test_large_values_in_half_precision():
    """300 * 300 * 40 passes 65,504, the largest float16, in the sum over dC * C that dQ needs."""
    inputs = batch("padded", dtype=torch.float16)
    inputs["value"] += 300
    inputs |= {name: inputs[name].requires_grad_() for name in QKV}
    context = attention(**inputs)
    upstream = torch.full_like(context, 300.0)
    assert torch.autograd.grad(context, inputs["query"], upstream)[0].isfinite().all()


def dropped(fn, form, seed):
    """Where `fn` drops a weight: with the identity as value the context *is* the weights."""
    inputs = batch(form)
    unit = torch.eye(40, device=drawing.DEVICE).expand(len(LENGTHS), 2, 40, 40)
    inputs["value"] = unit.contiguous() if form == "padded" else pack(unit)
    return fn(**inputs, dropout_p=0.4, seed=seed) == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_dropout_spares_the_weights_of_the_specification(form, seed):
    """Padded and packed alike, forward and backward."""
    ours = dropped(attention, form, seed)
    assert torch.equal(ours, dropped(reference.attention, form, seed))
    if form == "packed":
        assert torch.equal(ours, pack(dropped(attention, "padded", seed)))
    accurate(batch(form) | {"dropout_p": 0.4, "seed": seed})


def test_the_seed_is_a_number_or_a_tensor():
    inputs = batch("padded")
    as_number = attention(**inputs, dropout_p=0.4, seed=5)
    as_tensor = torch.tensor([5], device=drawing.DEVICE)
    assert torch.equal(attention(**inputs, dropout_p=0.4, seed=as_tensor), as_number)
    assert not torch.equal(attention(**inputs, dropout_p=0.4, seed=6), as_number)
    assert torch.equal(attention(**inputs, dropout_p=0.0, seed=5), attention(**inputs))


@pytest.mark.parametrize("seed", [2**32 + 5, -1])
def test_of_the_seed_32_bits_count(seed):
    """The others, those of a negative one too, do not reach the number of the head beside them."""
    seeds = torch.tensor([seed], device=drawing.DEVICE)
    ours = dropped(attention, "padded", seeds)
    assert torch.equal(ours, dropped(reference.attention, "padded", seeds))


def test_everything_dropped():
    inputs = batch("padded")
    inputs |= {name: inputs[name].requires_grad_() for name in QKV}
    context = attention(**inputs, dropout_p=1.0)
    assert (context == 0).all()
    assert all((gradient == 0).all() for gradient in gradients(context, inputs))


@pytest.mark.parametrize("tile", [(16, 16), (16, 64), (64, 16)])
@pytest.mark.parametrize("form", FORMS)
def test_tiles_do_not_matter(form, tile, monkeypatch):
    usual = dropped(attention, form, 3)
    for name in ("forward_tile", "backward_tile"):
        monkeypatch.setattr(module, name, lambda *_: Tile(*tile, 4, 2))
    assert torch.equal(dropped(attention, form, 3), usual)
    accurate(batch(form) | {"dropout_p": 0.4, "seed": 3})


@interpreted
@pytest.mark.parametrize("form", ["unmasked", "padded", "packed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_traffic(form, dtype):
    """The bytes that the top of `attention_forward.py` states; packed, text by text."""
    H, K, e = 2, 40, dtype.itemsize
    tile = forward_tile(dtype, K)
    inputs = batch("packed" if form == "packed" else "padded", H, K, dtype)
    if form == "unmasked":
        del inputs["key_mask"]
    expected = 0
    for length in LENGTHS:
        S = length if form == "packed" else 40
        T, keys = -(-S // tile.BLOCK_M), -(-S // tile.BLOCK_N) * tile.BLOCK_N
        values = length if form == "padded" else keys
        expected += H * (T * tile.BLOCK_M + S + T * keys + T * values) * K * e + H * S * 4
        expected += H * T * keys if form == "padded" else 0
    with meter() as m:
        attention(**inputs)
    # Packed, every program also reads where its text begins and ends, two int32.
    ends = m.total.programs * 8 if form == "packed" else 0
    assert m.total.requested == expected + ends
    assert m.total.requested <= 1.05 * expected


@interpreted
def test_backward_traffic():
    """The bytes that the top of `attention_backward.py` states, padded to whole tiles."""
    S, K = 40, 40
    tile = backward_tile(torch.float32, K, dropout=False)
    query, key, value = (drawing.normal(i, (1, 1, S, K)).requires_grad_() for i in range(3))
    context = attention(query, key, value)
    with meter() as m:
        context.backward(torch.ones_like(context))
    tiles_m, tiles_n = -(-S // tile.BLOCK_M), -(-S // tile.BLOCK_N)
    # Rows of whole tiles: past the end the last row is read again.
    M, N = tiles_m * tile.BLOCK_M, tiles_n * tile.BLOCK_N
    dquery = m.kernels["attention_dquery_kernel"].requested
    assert dquery == (4 * S + tiles_m * 2 * N) * K * 4 + 2 * S * 4
    dkey_dvalue = m.kernels["attention_dkey_dvalue_kernel"].requested
    assert dkey_dvalue == (2 * N + 2 * S + tiles_n * 2 * M) * K * 4 + tiles_n * (S + M) * 4


def test_heads_merge_by_a_view():
    """The memory of the context is (B, S, H, K), in which the heads of a token are neighbours."""
    context = attention(**batch("padded"))
    assert context.shape == (2, 2, 40, 40)
    assert context.transpose(1, 2).is_contiguous()
    assert attention(**batch("packed")).is_contiguous()


@pytest.mark.parametrize("form", FORMS)
def test_operator(form):
    """Packed, the longest text is told; padded, the seed is a tensor, as the model draws it."""
    inputs = batch(form, width=16)
    inputs |= {name: inputs[name].requires_grad_() for name in QKV}
    if form == "padded":
        seed = torch.tensor([5], device=drawing.DEVICE)
        inputs |= {"dropout_p": 0.4, "seed": seed, "return_lse": True}
    assert_integrates(attention, inputs)


@pytest.mark.parametrize("shape", [(0, 2, 5, 16), (2, 0, 5, 16), (2, 2, 0, 16)])
def test_nothing_to_do(shape):
    query = drawing.normal(0, shape).requires_grad_()
    mask = torch.ones(shape[0], shape[2], dtype=torch.bool, device=drawing.DEVICE)
    context, lse = attention(query, query, query, mask, return_lse=True)
    assert context.shape == shape and lse.shape == shape[:3]
    context.sum().backward()
    assert query.grad.shape == shape


@pytest.mark.parametrize("max_seqlen", [None, 0, 4])
@pytest.mark.parametrize("ends", [[0], [0, 0], [0, 0, 0]])
def test_nothing_packed(ends, max_seqlen):
    query = drawing.normal(0, (0, 2, 16)).requires_grad_()
    cu_seqlens = torch.tensor(ends, dtype=torch.int32, device=drawing.DEVICE)
    context, lse = attention(
        query, query, query, cu_seqlens=cu_seqlens, max_seqlen=max_seqlen, return_lse=True
    )
    assert context.shape == (0, 2, 16) and lse.shape == (0, 2)
    context.sum().backward()
    assert query.grad.shape == (0, 2, 16)


def test_texts_without_tokens():
    """Between, before and after others; the longest is found where it is not told."""
    ends = torch.tensor([0, 0, 3, 3, 5, 5], dtype=torch.int32, device=drawing.DEVICE)
    inputs = {name: drawing.normal(i, (5, 2, 16)) for i, name in enumerate(QKV)}
    accurate(inputs | {"cu_seqlens": ends})


@pytest.mark.parametrize("form", FORMS)
def test_the_same_bits_every_time(form):
    inputs = batch(form) | {"dropout_p": 0.4, "seed": 3}
    inputs |= {name: inputs[name].requires_grad_() for name in QKV}
    first, second = attention(**inputs), attention(**inputs)
    assert torch.equal(first, second)
    for a, b in zip(gradients(first, inputs), gradients(second, inputs), strict=True):
        assert torch.equal(a, b)


# inf - inf in the score of a masked key; what comes of it is replaced by -inf.
@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul:RuntimeWarning")
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_what_stands_at_a_masked_key_reaches_nothing(poison):
    results = []
    for filler in (0.0, poison):
        inputs = batch("padded")
        hidden = ~inputs["key_mask"][:, None, :, None]
        inputs |= {name: inputs[name].masked_fill(hidden, filler) for name in ("key", "value")}
        inputs |= {name: inputs[name].requires_grad_() for name in QKV}
        context = attention(**inputs)
        results.append([context, *gradients(context, inputs)])
    for clean, poisoned in zip(*results, strict=True):
        assert torch.equal(clean, poisoned)
    for gradient in results[1][2:]:
        assert (gradient.masked_select(hidden) == 0).all()


@pytest.mark.parametrize(("width", "unit"), [(48, 1), (40, 8), (36, 4), (34, 2), (17, 1)])
@pytest.mark.parametrize("form", FORMS)
def test_strides_are_handed_over_in_units(form, width, unit, monkeypatch):
    """Of at most 8 elements; multiples of 16 Triton sees by itself."""
    units = []

    def in_units(strides):
        units.append(IN_UNITS(strides)[0])
        return IN_UNITS(strides)

    monkeypatch.setattr(module, "_in_units", in_units)
    accurate(batch(form, heads=1, width=width))
    assert units == [unit] * 3


@pytest.mark.parametrize("form", FORMS)
def test_the_inputs_may_lie_anywhere_in_memory(form):
    """No two alike, so that the strides of one do not serve for another."""
    inputs = batch(form)
    inputs["query"] = drawing.strided(inputs["query"].transpose(-3, -2)).transpose(-3, -2)
    inputs["key"] = drawing.strided(inputs["key"])
    inputs["value"] = inputs["value"].transpose(-3, -2).contiguous().transpose(-3, -2)
    accurate(inputs)


def test_the_gradient_may_lie_anywhere_in_memory():
    """As the model sends it back, (B, S, H, K), with gaps, or with no axis of stride 1."""
    inputs = batch("padded")
    leaves = [inputs[name].requires_grad_() for name in QKV]
    context = attention(**inputs)
    upstream = drawing.normal(7, context.shape)
    expected = torch.autograd.grad(context, leaves, upstream, retain_graph=True)
    merged = upstream.transpose(1, 2).contiguous().transpose(1, 2)
    for same in (merged, drawing.strided(upstream), upstream.mT.contiguous().mT):
        actual = torch.autograd.grad(context, leaves, same, retain_graph=True)
        assert all(map(torch.equal, actual, expected))


def test_masks_and_lengths_of_any_layout():
    """A transposed mask whose length is whole tiles, and every second integer of a tensor."""
    query, key, value = drawing.normal(0, (3, 2, 2, 64, 32)).unbind()
    mask = drawing.normal(1, (64, 2)).t() > 0
    expected = reference.attention(query, key, value, mask)
    torch.testing.assert_close(attention(query, key, value, mask), expected)
    query, key, value = drawing.normal(0, (3, 12, 2, 32)).unbind()
    ends = torch.tensor([0, 7, 5, 9, 12, 3], dtype=torch.int32, device=drawing.DEVICE)[::2]
    expected = reference.attention(query, key, value, cu_seqlens=ends)
    torch.testing.assert_close(attention(query, key, value, cu_seqlens=ends), expected)
