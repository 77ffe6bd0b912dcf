"""The specification against PyTorch's own operations, and against arithmetic by hand."""

import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from minidistil_kernels import reference

LN2, LN3 = math.log(2), math.log(3)


def assert_equal(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_softmax():
    """Logits (0, ln 3) have exponentials (1, 3) and weights (1/4, 3/4); masked, (1, 0)."""
    x = torch.tensor([0.0, LN3], dtype=torch.float64)
    assert_equal(reference.softmax(x), torch.tensor([0.25, 0.75], dtype=torch.float64))
    assert reference.softmax(x, torch.tensor([True, False])).tolist() == [1, 0]


def test_softmax_of_what_is_left():
    """Leaving places out of the mask is leaving them out of the row."""
    x, mask = double(4, 9), torch.rand(4, 9) > 0.4
    for row, y, kept in zip(x, reference.softmax(x, mask), mask, strict=True):
        assert_equal(y[kept], row[kept].softmax(-1))
        assert (y[~kept] == 0).all()
    assert torch.autograd.gradcheck(lambda x: reference.softmax(x, mask), x)


def test_softmax_of_an_empty_row():
    x = double(2, 3)
    y = reference.softmax(x, torch.tensor([[False] * 3, [True] * 3]))
    (gradient,) = torch.autograd.grad(y, x, torch.randn(2, 3))
    assert (y[0] == 0).all() and (gradient[0] == 0).all() and (gradient[1] != 0).all()


def qkv(batch=2, heads=3, length=5, width=4):
    return [double(batch, heads, length, width) for _ in range(3)]


def test_attention():
    """Scores (0, ln 3) weigh the values 4 and 8 by 1/4 and 3/4: 7. Their lse is ln(1 + 3)."""
    query = torch.ones(1, 1, 2, 1, dtype=torch.float64)
    key = torch.tensor([0.0, LN3], dtype=torch.float64).view(1, 1, 2, 1)
    value = torch.tensor([4.0, 8.0], dtype=torch.float64).view(1, 1, 2, 1)
    context, lse = reference.attention(query, key, value, return_lse=True)
    assert_equal(context.flatten(), torch.tensor([7.0, 7.0], dtype=torch.float64))
    assert_equal(lse.flatten(), torch.tensor([2 * LN2, 2 * LN2], dtype=torch.float64))
    doubled = reference.attention(query, key, value, scale=2.0)  # exponentials (1, 9)
    assert_equal(doubled.flatten(), torch.tensor([7.6, 7.6], dtype=torch.float64))


def test_attention_equals_pytorchs():
    inputs, key_mask = qkv(), torch.tensor([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]]).bool()
    expected = F.scaled_dot_product_attention(*inputs, attn_mask=key_mask[:, None, None])
    actual = reference.attention(*inputs, key_mask)
    assert_equal(actual, expected)
    upstream = torch.randn_like(actual)
    gradients = (torch.autograd.grad(context, inputs, upstream) for context in (actual, expected))
    for a, b in zip(*gradients, strict=True):
        assert_equal(a, b)


def test_attention_without_keys():
    """A text with every key masked: context and gradients 0, lse -inf. NaN there reaches nobody."""
    inputs, key_mask = qkv(), torch.tensor([[False] * 5, [True] * 5])
    for x in inputs[1:]:
        x.data[0] = float("nan")
    context, lse = reference.attention(*inputs, key_mask, return_lse=True)
    assert (context[0] == 0).all() and (lse[0] == -torch.inf).all() and lse[1].isfinite().all()
    assert not lse.requires_grad
    for gradient in torch.autograd.grad(context, inputs, torch.randn_like(context)):
        assert (gradient[0] == 0).all() and gradient[1].abs().max() > 0


@pytest.mark.parametrize("lengths", [[2, 3], [0, 5, 0], [1, 1, 3], [5]])
def test_packed_attention(lengths):
    """Each text as a batch of one."""
    query, key, value = (double(5, 2, 4) for _ in range(3))
    ends = [0, *torch.tensor(lengths).cumsum(0).tolist()]
    cu_seqlens = torch.tensor(ends, dtype=torch.int32)
    context, lse = reference.attention(query, key, value, cu_seqlens=cu_seqlens, return_lse=True)
    for begin, length in zip(ends, lengths, strict=False):
        text = [x[None, begin : begin + length].transpose(1, 2) for x in (query, key, value)]
        alone, alone_lse = reference.attention(*text, return_lse=True)
        assert_equal(context[begin : begin + length], alone[0].transpose(0, 1))
        assert_equal(lse[begin : begin + length], alone_lse[0].T)


def test_packed_attention_of_nothing():
    nothing = double(0, 2, 4)
    zero = torch.zeros(1, dtype=torch.int32)
    context, lse = reference.attention(nothing, nothing, nothing, cu_seqlens=zero, return_lse=True)
    assert context.shape == (0, 2, 4) and lse.shape == (0, 2)


def test_dropout_in_attention():
    """With the identity as value the context is the weights: each 0 or 1 / (1 - 0.25) of itself."""
    query, key = torch.randn(2, 2, 3, 32, 32).unbind()
    value = torch.eye(32).expand(2, 3, 32, 32)
    weights = reference.attention(query, key, value)
    dropped = reference.attention(query, key, value, dropout_p=0.25, seed=5)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], weights[kept] / 0.75)
    assert abs(float(kept.double().mean()) - 0.75) < 0.03
    as_tensor = reference.attention(query, key, value, dropout_p=0.25, seed=torch.tensor([5]))
    assert torch.equal(as_tensor, dropped)
    other = reference.attention(query, key, value, dropout_p=0.25, seed=6)
    assert not torch.equal(other != 0, kept)
    assert (reference.attention(query, key, value, dropout_p=1.0) == 0).all()


def test_add_layer_norm():
    """x + residual = (1, 3): mean 2, deviation 1, normalised (-1, 1); times 2, plus 1: (-1, 3)."""
    x, residual = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 2.0]])
    y = reference.add_layer_norm(x, residual, torch.full((2,), 2.0), torch.ones(2))
    torch.testing.assert_close(y, torch.tensor([[-1.0, 3.0]]))


def test_add_layer_norm_equals_pytorchs():
    x, residual, weight, bias = double(3, 7), double(3, 7), double(7), double(7)
    expected = F.layer_norm(x + residual, (7,), weight, bias, 0.5)
    assert_equal(reference.add_layer_norm(x, residual, weight, bias, eps=0.5), expected)
    assert torch.autograd.gradcheck(reference.add_layer_norm, (x, residual, weight, bias))


def test_half_precision_is_normalised_in_float32():
    x = torch.randn(3, 9, dtype=torch.float16) + 8
    weight, bias = torch.ones(2, 9, dtype=torch.float16)
    y = reference.add_layer_norm(x, x, weight, bias)
    exact = reference.add_layer_norm(*(v.double() for v in (x, x, weight, bias)))
    assert y.dtype == torch.float16
    assert torch.equal(y, exact.half())


def test_linear_gelu():
    """x w + b = 2 * 1 - 1 = 1, and gelu(1) = Phi(1) = 0.8413447461."""
    one = torch.ones(1, 1, dtype=torch.float64)
    y = reference.linear_gelu(2 * one, one, -one[0])
    torch.testing.assert_close(y.item(), 0.8413447461, rtol=0, atol=1e-10)


def test_linear_gelu_equals_pytorchs():
    linear = torch.nn.Linear(4, 6).double()
    x = double(2, 3, 4)
    expected = torch.nn.GELU()(linear(x))
    assert_equal(reference.linear_gelu(x, linear.weight, linear.bias), expected)


@pytest.mark.parametrize("rows", [2, 17, 64, 130])
def test_products_in_bfloat16_do_not_see_what_lies_between_rows(rows):
    """oneDNN does, with AMX: it multiplies the NaN there by 0."""
    torch.manual_seed(0)
    memory = torch.full((rows, 20), math.nan, dtype=torch.bfloat16)
    memory[:, :17] = torch.randn(rows, 17)
    x, weight, bias = memory[:, :17], torch.randn(4, 17).bfloat16(), torch.randn(4).bfloat16()
    wide = [t.double() for t in (x, weight, bias)]
    close = {"atol": 0.05, "rtol": 0.02}
    got, want = reference.linear_gelu(x, weight, bias), reference.linear_gelu(*wide)
    torch.testing.assert_close(got.double(), want, **close)
    labels = torch.arange(rows) % 4
    loss = reference.linear_cross_entropy(x, weight, bias, labels)
    torch.testing.assert_close(
        loss.double(), reference.linear_cross_entropy(*wide, labels), **close
    )


def test_embedding_layer_norm():
    """word[1] = (0, 1), position[0] = (1, 2): the rows of the example of add + LayerNorm."""
    word, position = torch.tensor([[9.0, 9.0], [0.0, 1.0]]), torch.tensor([[1.0, 2.0]])
    one, zero = torch.ones(1, 1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    y = reference.embedding_layer_norm(one, zero, word, position, torch.ones(2), torch.zeros(2))
    torch.testing.assert_close(y, torch.tensor([[[-1.0, 1.0]]]))


@pytest.mark.parametrize("padding_idx", [None, 0])
def test_embedding_layer_norm_equals_pytorchs(padding_idx):
    """`nn.Embedding` gives the row of the padding token no gradient; repeated ids add theirs."""
    words = torch.nn.Embedding(6, 5, padding_idx, dtype=torch.float64)
    positions = torch.nn.Embedding(4, 5, dtype=torch.float64)
    norm = torch.nn.LayerNorm(5, 1e-12, dtype=torch.float64)
    ids, order = torch.tensor([[0, 3, 3], [3, 0, 5]]), torch.arange(3)
    expected = norm(words(ids) + positions(order))
    leaves = [words.weight, positions.weight, norm.weight, norm.bias]
    actual = reference.embedding_layer_norm(ids, order, *leaves, padding_idx=padding_idx)
    assert_equal(actual, expected)
    upstream = torch.randn_like(actual)
    gradients = [torch.autograd.grad(y, leaves, upstream) for y in (actual, expected)]
    for a, b in zip(*gradients, strict=True):
        assert_equal(a, b)
    assert (gradients[0][0][0] == 0).all() == (padding_idx == 0)


def test_cross_entropy():
    """Logits (0, ln 3) give (1/4, 3/4); label 0 costs ln 4. The other row is ignored."""
    logits = torch.tensor([[0.0, LN3], [5.0, 7.0]], dtype=torch.float64)
    assert_equal(reference.cross_entropy(logits, torch.tensor([0, -100])).item(), 2 * LN2)
    ignored = reference.cross_entropy(logits, torch.tensor([0, 1]), ignore_index=1)
    assert_equal(ignored.item(), 2 * LN2)


def test_cross_entropies_equal_pytorchs():
    hidden, weight, bias = double(5, 4), double(7, 4), double(7)
    labels = torch.tensor([3, -100, 0, 6, -100])
    logits = F.linear(hidden, weight, bias)
    expected = F.cross_entropy(logits, labels)
    assert_equal(reference.cross_entropy(logits, labels), expected)
    assert_equal(reference.linear_cross_entropy(hidden, weight, bias, labels), expected)


@pytest.mark.parametrize("rows", [0, 3])
def test_cross_entropies_with_nothing_to_learn(rows):
    """No row, or every label ignored: 0, and gradients of 0, where PyTorch has NaN."""
    hidden, weight, bias = double(rows, 4), double(7, 4), double(7)
    labels = torch.full((rows,), -100)
    loss = reference.linear_cross_entropy(hidden, weight, bias, labels)
    assert loss.item() == 0
    for gradient in torch.autograd.grad(loss, [hidden, weight, bias]):
        assert (gradient == 0).all()
    half = reference.cross_entropy(torch.zeros(rows, 7, dtype=torch.float16), labels)
    assert half.item() == 0 and half.dtype == torch.float32


def test_distillation_loss():
    """At T = 2 logits (0, 2 ln 3) give p = (1/4, 3/4), and equal logits q = (1/2, 1/2).

    KL = 1/4 ln(1/2) + 3/4 ln(3/2) = 3/4 ln 3 - ln 2; T^2 KL is four times that; the label costs
    ln 2.
    """
    teacher = torch.tensor([[0.0, 2 * LN3]], dtype=torch.float64)
    total, ce, mlm = reference.distillation_loss(
        torch.zeros(1, 2, dtype=torch.float64), teacher, torch.tensor([1])
    )
    assert_equal(ce.item(), 3 * LN3 - 4 * LN2)
    assert_equal(mlm.item(), LN2)
    assert_equal(total.item(), 5 * ce.item() + 2 * mlm.item())


def test_distillation_loss_equals_the_recipe():
    """`nn.KLDivLoss` of log-probabilities and probabilities, and `nn.CrossEntropyLoss`."""
    student, teacher, labels = double(4, 6), double(4, 6), torch.tensor([2, -100, 0, 5])
    ce = torch.nn.KLDivLoss(reduction="batchmean")(
        F.log_softmax(student / 3, -1), F.softmax(teacher / 3, -1)
    )
    mlm = torch.nn.CrossEntropyLoss()(student, labels)
    expected = 0.5 * ce * 9 + 0.25 * mlm
    options = {"temperature": 3.0, "alpha_ce": 0.5, "alpha_mlm": 0.25}
    total, *parts = reference.distillation_loss(student, teacher, labels, **options)
    assert_equal(total, expected)
    assert_equal(torch.stack(parts), torch.stack([9 * ce, mlm]).detach())
    (a, b) = (torch.autograd.grad(loss, student)[0] for loss in (total, expected))
    assert_equal(a, b)
    assert not any(part.requires_grad for part in parts)


def test_distillation_loss_where_the_teacher_has_probability_0():
    """Logits of -inf are no columns at all, for the teacher alone or for both."""
    student, teacher = double(3, 4), double(3, 4)
    for hides_both in (False, True):
        inputs = [F.pad(x, (0, 1), value=-torch.inf) for x in (student, teacher)]
        if not hides_both:
            inputs[0] = torch.cat([student, student[:, :1]], -1)
        total = reference.distillation_loss(*inputs)[0]
        (gradient,) = torch.autograd.grad(total, student)
        assert total.isfinite() and gradient.isfinite().all()
        if hides_both:
            expected = reference.distillation_loss(student, teacher)[0]
            assert_equal(total, expected)
            assert_equal(gradient, torch.autograd.grad(expected, student)[0])
    assert reference.distillation_loss(inputs[0], inputs[0].nan_to_num(neginf=1.0))[0].isinf()


def test_distillation_loss_reaches_no_teacher():
    student, teacher = double(4, 6), double(4, 6)
    total = reference.distillation_loss(student, teacher)[0]
    gradients = torch.autograd.grad(total, [student, teacher], allow_unused=True)
    assert gradients[0] is not None and gradients[1] is None


def test_distillation_loss_of_nothing():
    student = double(0, 6)
    losses = reference.distillation_loss(student, student, torch.zeros(0, dtype=torch.int64))
    assert [loss.item() for loss in losses] == [0, 0, 0]
    (gradient,) = torch.autograd.grad(losses[0], student)
    assert gradient.shape == (0, 6)


def test_cosine_loss():
    """(3, 4) and (4, 3) have the cosine 24/25; (1, 0) and (0, 1) have 0; the last row is masked."""
    student = torch.tensor([[3.0, 4.0], [1.0, 0.0], [9.0, 9.0]], dtype=torch.float64)
    teacher = torch.tensor([[4.0, 3.0], [0.0, 1.0], [-9.0, -9.0]], dtype=torch.float64)
    loss = reference.cosine_loss(student, teacher, torch.tensor([True, True, False]))
    assert loss.item() == pytest.approx((1 / 25 + 1) / 2, abs=1e-12)


def test_cosine_loss_equals_pytorchs():
    student, teacher, mask = double(4, 6, 8), double(4, 6, 8), torch.rand(4, 6) > 0.3
    expected = torch.nn.CosineEmbeddingLoss()(
        student[mask], teacher[mask].detach(), torch.ones(int(mask.sum()))
    )
    actual = reference.cosine_loss(student, teacher, mask)
    assert_equal(actual, expected)
    a, b = (torch.autograd.grad(loss, student)[0] for loss in (actual, expected))
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", [(3, 5, 4), (0, 5, 4), (3, 0, 4)])
def test_cosine_loss_of_nothing(shape):
    """No token counts: 0 and gradients of 0, even where the student is NaN."""
    student = torch.full(shape, float("nan"), requires_grad=True)
    mask = torch.zeros(shape[:2], dtype=torch.bool)
    loss = reference.cosine_loss(student, torch.ones(shape), mask)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == 0 and (gradient == 0).all()


def test_cosine_loss_of_a_row_of_zeros():
    """It has no direction: cosine 0, loss 1, and a finite gradient."""
    student = torch.zeros(1, 4, requires_grad=True)
    loss = reference.cosine_loss(student, torch.ones(1, 4), torch.tensor([True]))
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == 1 and gradient.isfinite().all()


WITHOUT_TRITON = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "triton":
            raise ImportError(f"{name} is not to be had here")
sys.modules["triton"] = None  # as Python marks what is not there
sys.meta_path.insert(0, Refuse())
import minidistil, minidistil_kernels, torch
from minidistil_kernels import reference, testing
print(reference.softmax(torch.zeros(1, 2)).tolist())
print(testing.check_softmax(reference.softmax, examples=2).holds)
try:
    import minidistil_kernels.lab
except ImportError as error:
    print(error)
for name in minidistil_kernels.__all__:
    try:
        getattr(minidistil_kernels, name)
    except ImportError as error:
        print(error)
try:
    minidistil_kernels.sotfmax
except AttributeError as error:
    print(error)
from minidistil_kernels import softmax
"""


def test_where_triton_cannot_be_imported():
    """The reference and the laws work; asking for a kernel says what to do instead."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRITON], capture_output=True, text=True, check=False
    )
    first, second, lab, *errors, unknown = done.stdout.splitlines()
    assert (first, second) == ("[[0.5, 0.5]]", "True"), done.stderr
    assert lab.startswith("minidistil_kernels.lab needs Triton (pip install triton, Linux only)")
    names = [name for name in vars(reference) if f"minidistil_kernels.{name} needs" in done.stdout]
    assert len(errors) == 9 and len(names) == 9
    assert errors[-1] == (
        "minidistil_kernels.softmax needs Triton (pip install triton, Linux only); "
        "minidistil_kernels.reference.softmax computes the same in plain PyTorch"
    )
    assert unknown == "module 'minidistil_kernels' has no attribute 'sotfmax'"
    assert done.stderr.splitlines()[-1] == "ImportError: " + errors[-1]
