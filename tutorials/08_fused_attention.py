# %% [markdown]
# # Fused attention
#
# Attention compares every token with every other. Written down, its weights are a matrix of
# $S \times S$ numbers for each head. This tutorial computes the same result without ever holding
# that matrix: first on one row with a pencil, then in tiles, then in the library's own kernel.
#
# **You need** Linux, where Triton comes with minidistil, and `pip install -e '.[test]'`. No weights,
# no GPU, no network. `python tutorials/08_fused_attention.py` takes some fifteen seconds.
#
# **At the end you can** join two halves of a softmax, derive the bytes of a fused kernel before you
# count them, read that kernel, and say what packing a batch saves.
#
# Before this: [The first kernel: softmax](07_softmax_kernel.md), which explains programs, lanes and
# the meter. After it: [Attention backward](09_attention_backward.md). Letters:
# [Notation](../notation.md). As there, nothing here ran on a GPU: bytes are counted, times are not.

# %%
import inspect
import math
import os
import sys
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

if find_spec("triton") is None:
    sys.exit("Triton is missing: pip install triton (it exists for Linux only)")
os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported
from matplotlib import pyplot as plt
from minidistil_kernels import attention, lab
from minidistil_kernels.attention_forward import attention_forward_kernel, forward_tile
from minidistil_kernels.testing.attention import LAWS

torch.manual_seed(0)

# %% [markdown]
# ## 1. The matrix that nobody asked for
#
# Three operations: scores, softmax, context. The ledger of the last tutorial counts what each reads
# and writes. A transposed tensor is only another view of the same memory, so it is left out.


# %%
class Ledger(TorchDispatchMode):
    read, written, operations = 0, 0, 0

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        result = op(*args, **kwargs or {})
        tensors = [x for x in args if isinstance(x, torch.Tensor)]
        if all(x.data_ptr() != result.data_ptr() for x in tensors):
            self.operations += 1
            self.read += sum(x.nbytes for x in tensors)
            self.written += result.nbytes
        return result


def naive(q, k, v):
    scores = (q * q.shape[-1] ** -0.5) @ k.mT  # (H, S, S)
    return scores.softmax(-1) @ v


def metered_naive(q, k, v):
    with FlopCounterMode(display=False) as flops, Ledger() as ledger:
        naive(q, k, v)
    counts = lab.Counts(
        launches=ledger.operations, flops_dot=flops.get_total_flops(),
        bytes_loaded=ledger.read, bytes_stored=ledger.written,
        unique_loaded=ledger.read, unique_stored=ledger.written,
    )  # fmt: skip
    return lab.Traffic({"PyTorch": counts})


# %% [markdown]
# **Predict** the elements that move, for one head. (The scaling reads and writes $S K$; scores: in
# $2 S K$, out $S^2$; softmax; context.) How many of them are $q$, $k$, $v$ and the result?

# %%
H, K = 2, 64
for S in [128, 256, 512]:
    q, k, v = torch.randn(3, H, S, K).half()
    moved = metered_naive(q, k, v).total.requested
    bound = 4 * H * S * K * 2
    print(f"S = {S}: {moved / 1e6:.2f} MB moved, inputs and result are {bound / 1e6:.2f} MB")
    assert moved == H * (4 * S * S + 6 * S * K) * 2

# %% [markdown]
# The inputs grow with $S$, the traffic with $S^2$: it is the weights, written, read, written, read.
#
# ## 2. A softmax in two halves
#
# To do without the matrix we may only see a piece of a row at a time. But a softmax divides by the
# sum over the *whole* row, and subtracts the *whole* row's maximum. Say the first half is done: it
# has its maximum $m_1$, its sum $l_1 = \sum_j e^{s_j - m_1}$, and $a_1 = \sum_j e^{s_j - m_1} v_j$.
# The second half has $m_2, l_2, a_2$. With $m = \max(m_1, m_2)$,
#
# $$l = l_1 e^{m_1 - m} + l_2 e^{m_2 - m}, \qquad a = a_1 e^{m_1 - m} + a_2 e^{m_2 - m}$$
#
# because $e^{s - m_1} e^{m_1 - m} = e^{s - m}$. The context is $a / l$. **Predict** both factors for
# the row below; with the numbers of the comment you need no calculator.


# %%
def half(scores, values):
    m = max(scores)
    powers = [math.exp(s - m) for s in scores]
    return m, sum(powers), sum(p * x for p, x in zip(powers, values, strict=True))


scores, values = [0.0, math.log(2), math.log(4), math.log(8)], [1.0, 2.0, 3.0, 4.0]
m1, l1, a1 = half(scores[:2], values[:2])  # ln 2,  1/2 + 1,  1/2 * 1 + 1 * 2
m2, l2, a2 = half(scores[2:], values[2:])  # ln 8,  1/2 + 1,  1/2 * 3 + 1 * 4
m = max(m1, m2)
shrink1, shrink2 = math.exp(m1 - m), math.exp(m2 - m)
l, a = l1 * shrink1 + l2 * shrink2, a1 * shrink1 + a2 * shrink2
whole = half(scores, values)
print(f"factors {shrink1:.2f} and {shrink2:.2f}; context {a / l:.4f}, whole {whole[2] / whole[1]:.4f}")
assert math.isclose(shrink1, 1 / 4) and shrink2 == 1
assert math.isclose(a / l, (1 * 1 + 2 * 2 + 4 * 3 + 8 * 4) / 15)

# %% [markdown]
# ## 3. In tiles
#
# Now all rows, many pieces, and a mask. `m`, `l` and `acc` are the running maximum, sum and context
# of every query; what is held of the scores is one tile. `m` starts very low but finite:
# $-\infty - (-\infty)$ would be NaN.


# %%
def tiled(query, key, value, mask=None, *, scale=None, dropout_p=0.0, need_weights=False, tile=16,
          rescale=True):  # fmt: skip
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    q, k, v = query.float(), key.float(), value.float()
    m, l, acc = torch.full_like(q[..., :1], -3e38), torch.zeros_like(q[..., :1]), torch.zeros_like(q)
    for n in range(0, k.shape[-2], tile):
        s = q @ k[..., n : n + tile, :].mT * scale
        if mask is not None:
            s = s.masked_fill(~mask[..., n : n + tile], -torch.inf)
        m_new = torch.maximum(m, s.amax(-1, keepdim=True))
        p = torch.exp(s - m_new)
        alpha = torch.exp(m - m_new) if rescale else 1.0
        l = l * alpha + p.sum(-1, keepdim=True)
        acc = acc * alpha + F.dropout(p, dropout_p) @ v[..., n : n + tile, :]
        m = m_new
    return (acc / torch.where(l == 0, 1.0, l)).to(query.dtype), None


q, k, v = torch.randn(3, 1, H, 50, K)
torch.testing.assert_close(tiled(q, k, v)[0], F.scaled_dot_product_attention(q, k, v))

# %% [markdown]
# ## 4. Leave the rescaling out
#
# **Predict.** Without $\alpha$, for how many keys is the result still right? Is it still a *mean* of
# the values? Each law below is tried on random cases; when one fails, a small failing case is shown.


# %%
def no_rescale(*args, **options):
    return tiled(*args, **options, rescale=False)


chosen = ("sends back gradients of 0", "is a mean", "order of the keys", "as eager attention does")
for law in LAWS:
    if any(words in law.sentence for words in chosen):
        print(law.try_on(no_rescale, examples=2))
        assert law.try_on(tiled, examples=2).holds
short, long = torch.randn(3, 1, H, 16, K), torch.randn(3, 1, H, 17, K)
assert torch.equal(no_rescale(*short)[0], tiled(*short)[0])
assert not torch.allclose(no_rescale(*long)[0], tiled(*long)[0], atol=1e-3)

# %% [markdown]
# Up to 16 keys, one tile, all is well: a test on short texts sees nothing. Beyond, it is still a
# mean, with positive weights that sum to 1, so that law holds. Only they are the wrong weights: they
# depend on the order of the keys.
#
# ## 5. The kernel, line by line
#
# `attention_forward_kernel` is `tiled` for a GPU: a program owns `BLOCK_M` queries of one head and
# walks over the keys, `BLOCK_N` at a time. First, which queries are mine?


# %%
def show(kernel, first, last):
    """Print a kernel from the line with `first` to the line with `last`."""
    lines = inspect.getsource(kernel.fn).splitlines()
    start = next(i for i, line in enumerate(lines) if first in line)
    stop = next(i for i, line in enumerate(lines) if i >= start and last in line)
    print("\n".join(lines[start : stop + 1]))


show(attention_forward_kernel, "start_m, b, h", "return")
show(attention_forward_kernel, "offs_m = ", "acc = tl.zeros")

# %% [markdown]
# The loop. Keys and values past the end are the last row again, and `keep` says which count. With a
# mask, values that don't count aren't loaded: weight 0 times NaN would be NaN.

# %%
show(attention_forward_kernel, "for start_n", "k = load_rows")

# %% [markdown]
# The heart of it: the lines of `tiled`, one by one. Powers of 2, since that is the instruction a GPU
# has: $e^x = 2^{x \log_2 e}$, and `scale_log2` is the scale times $\log_2 e$. Where `tiled` sums, so
# does the kernel: before dropout.

# %%
show(attention_forward_kernel, "s = tl.dot", "l = l * alpha")
show(attention_forward_kernel, "acc = tl.dot", "m = m_new")

# %% [markdown]
# `p.to(v.dtype)`: two float16 tiles are multiplied, the sum is float32. At the end one division, and
# $\mathrm{lse} = m + \ln l$, all that the [backward pass](09_attention_backward.md) needs of the
# weights.

# %%
show(attention_forward_kernel, "inside = ", "store_rows")

# %% [markdown]
# ## 6. Predict the bytes, then count
#
# $T$ = ⌈$S$ / `BLOCK_M`⌉ programs a head. Each reads its queries once and *all* keys and values; all
# together write the context and an lse, a float32 for each query. **Predict**, for $S$ = 512 and tiles
# of 64, in float16. And: do you expect much less than the naive 4.7 MB?


# %%
def predict(S, counting=None, e=2):
    """The bytes of H heads of one text, of whose keys `counting` count; None is without mask."""
    tile = forward_tile(torch.float16, K)
    programs = H * math.ceil(S / tile.BLOCK_M)
    keys = math.ceil(S / tile.BLOCK_N) * tile.BLOCK_N
    mask, values = (0, keys) if counting is None else (keys, counting)
    read = programs * ((tile.BLOCK_M + keys + values) * K * e + mask)
    return read + H * S * (K * e + 4)


S = 512
q, k, v = torch.randn(3, 1, H, S, K).half()
with lab.meter() as fused:
    context = attention(q, k, v)
print(fused)
assert fused.total.requested == predict(S)
torch.testing.assert_close(context, F.scaled_dot_product_attention(q, k, v), atol=2e-3, rtol=0)

# %%
runs = {"naive": metered_naive(q[0], k[0], v[0]), "fused": fused}
bound = 4 * q.nbytes
print(lab.side_by_side(runs, bound))
figure = lab.draw_bytes(runs, bound)
# alt: Two bars of bytes. Naive is 4.7 MB, all of it unique. Fused requests about half, but only a
#   small part of that is unique: hardly more than the lower bound, a dashed line.
plt.show()
