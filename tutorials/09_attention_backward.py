# %% [markdown]
# # Attention backward
#
# The gradients of attention, derived, written in fifteen lines of PyTorch, and read in two kernels.
# They need the $S \times S$ weights, which nobody kept: they are computed again.
#
# **You need** Linux, where Triton comes along, and minidistil: nothing else, no GPU, no weights, no
# network. `python tutorials/09_attention_backward.py` takes some ten seconds.
#
# **At the end you can** derive the five products of the backward pass, say what it must remember,
# why dropout needs no mask in memory, and why two kernels give the same bits every time.
#
# Before this: [Fused attention](08_fused_attention.md). After it:
# [Measuring a kernel](10_measuring.md). Letters: [Notation](../notation.md).
# Nothing here ran on a GPU: bytes are counted, nothing is timed.

# %%
import os

os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported, by us or by torch
import inspect

import torch
from torch.autograd.graph import saved_tensors_hooks

from minidistil_kernels import attention, lab, philox
from minidistil_kernels.attention_backward import (
    attention_dkey_dvalue_kernel,
    attention_dquery_kernel,
    backward_tile,
)

torch.manual_seed(0)
B, H, S, K = 1, 2, 100, 64

# %% [markdown]
# ## 1. The derivation
#
# One head, with $\tau$ for the scale, $C$ for the context (papers say $O$), and $dX$ for the
# gradient of the loss by $X$:
#
# $$Z = \tau Q K^\top, \qquad P = \mathrm{softmax}(Z) \text{ row by row}, \qquad C = P V$$
#
# Given is $dC$. Products first. A factor gets the gradient of the product times the other factor:
#
# $$dV = P^\top dC, \quad dP = dC\,V^\top, \quad dQ = \tau\,dZ\,K, \quad dK = \tau\,dZ^\top Q$$
#
# What is missing is $dZ$. We have the gradient of a softmax from the
# [first kernel](07_softmax_kernel.md): $dZ_{ij} = P_{ij} (dP_{ij} - \delta_i)$ with
# $\delta_i = \sum_j P_{ij} \, dP_{ij}$.
#
# That sum runs over a whole row of $S$ keys, of which a tile sees a part. But put $dP$ in:
#
# $$\delta_i = \sum_j P_{ij} \sum_k dC_{ik} V_{jk} = \sum_k dC_{ik} \sum_j P_{ij} V_{jk}
# = \sum_k dC_{ik} \, C_{ik}$$
#
# **Predict.** How many numbers does each of the two sums for $\delta_i$ read, for $S$ = 512 and
# $K$ = 64? Which of the two does a program have at hand before it has seen any key?
#
# ## 2. In PyTorch
#
# The forward pass leaves $C$ and $\mathrm{lse}_i = \ln \sum_j e^{Z_{ij}}$. With it,
# $P = e^{Z - \mathrm{lse}}$: no maximum, no sum, and any tile of $P$ by itself.


# %%
def forward(q, k, v):
    z = q @ k.mT * q.shape[-1] ** -0.5
    lse = z.logsumexp(-1, keepdim=True)
    return torch.exp(z - lse) @ v, lse


def backward(q, k, v, c, lse, dc):
    scale = q.shape[-1] ** -0.5
    p = torch.exp(q @ k.mT * scale - lse)
    dv = p.mT @ dc
    dp = dc @ v.mT
    delta = (dc * c).sum(-1, keepdim=True)
    dz = p * (dp - delta)
    return dz @ k * scale, dz.mT @ q * scale, dv


q, k, v = (x.requires_grad_() for x in torch.randn(3, B, H, S, K, dtype=torch.float64))
dc = torch.randn(B, H, S, K, dtype=torch.float64)
c, lse = forward(q, k, v)
expected = torch.autograd.grad(c, (q, k, v), dc)
with torch.no_grad():
    for name, mine, theirs in zip("qkv", backward(q, k, v, c, lse, dc), expected, strict=True):
        print(f"d{name}: largest difference {(mine - theirs).abs().max():.0e}")
        assert (mine - theirs).abs().max() < 1e-13

# %% [markdown]
# In float64 nothing but rounding is left. `delta` reads $2 K$ = 128 numbers a query where the other
# sum reads $2 S$ = 1024, and a program has its $C$ and $dC$ from the start.
#
# ## 3. What must be remembered
#
# Autograd keeps what a backward pass will need, and tells us of every tensor. **Predict** the bytes
# in float32: for attention written out (softmax and the last product both need $P$, one tensor),
# and for the kernel, which keeps $Q$, $K$, $V$, $C$, the lse and a seed for dropout, 8 bytes.


# %%
def kept(function):
    """Bytes that autograd keeps for the backward pass of a function, each tensor once."""
    storages = {}

    def pack(x):
        storages[x.untyped_storage().data_ptr()] = x
        return x

    with saved_tensors_hooks(pack, lambda x: x):
        result = function(*(torch.randn(B, H, S, K).requires_grad_() for _ in range(3)))
    return sum(x.nbytes for x in storages.values()), result


def eager(q, k, v):
    return (q * K**-0.5 @ k.mT).softmax(-1) @ v


B, H, S, K = 1, 2, 128, 64
(naive, _), (fused, _) = kept(eager), kept(attention)
print(f"kept: eager {naive:,} bytes, fused {fused:,}")
assert naive == B * H * (S * S + 3 * S * K) * 4
assert fused == B * H * (4 * S * K + S) * 4 + 8
for S in [128, 512, 4096]:
    weights, lse_bytes = 32 * 12 * S * S * 4, 32 * 12 * S * 4
    print(f"S = {S:4}, 32 * 12 heads: P {weights / 1e9:6.2f} GB, lse {lse_bytes / 1e6:5.2f} MB")
    assert weights == S * lse_bytes

# %% [markdown]
# $O(S^2)$ against $O(S)$. The price is arithmetic: $Q K^\top$ once more, or twice, as we shall see.
#
# ## 4. Two kernels
#
# $dQ_i$ sums over keys, $dK_j$ and $dV_j$ sum over queries. A program that owns queries can finish
# its $dQ$, but $dK$ needs a share from every other program too. So there are two kernels. In the
# first a program owns queries, and walks over the keys:


# %%
def show(kernel, first, last):
    lines = inspect.getsource(kernel.fn).splitlines()
    start = next(i for i, line in enumerate(lines) if first in line)
    stop = next(i for i, line in enumerate(lines) if i >= start and last in line)
    print("\n".join(lines[start : stop + 1]))


show(attention_dquery_kernel, "q = load_rows", "for start_n")
show(attention_dquery_kernel, "s = tl.dot", "store_rows")

# %% [markdown]
# It is `backward`, with $P$ as a power of 2; dropout is for section 6. `load_lse` puts $+\infty$
# where a query has no key, and past the last query: $2^{s - \infty} = 0$. In the second kernel a
# program owns keys, and walks over the queries; its tiles are transposed. **Predict**: where does
# it get `delta`?

# %%
show(attention_dkey_dvalue_kernel, "for start_m", "store_rows(dvalue_ptr")

# %% [markdown]
# From memory: the first kernel stored it. **Predict** for $S$ = 256, in float16, the bytes of both.
# A program of the first reads its $Q$, $C$, $dC$, lse and *all* of $K$ and $V$, and writes $dQ$ and
# delta. One of the second reads its $K$, $V$ and *all* of $Q$, $dC$, lse, delta, and writes $dK$
# and $dV$. And of matrix products `backward` has five: how many have the two kernels together?

# %%
B, H, S, K = 1, 2, 256, 64
q, k, v = (torch.randn(B, H, S, K).half().requires_grad_() for _ in range(3))
dc = torch.randn(B, H, S, K).half()
context = attention(q, k, v)
with lab.meter() as m, lab.memory_checks():
    first = torch.autograd.grad(context, (q, k, v), dc, retain_graph=True)
print(m)
tile = backward_tile(torch.float16, K, dropout=False)
assert S % tile.BLOCK_M == S % tile.BLOCK_N == 0
matrix, numbers = S * K * 2, S * 4  # bytes a head: of Q, K, V, C, ...; of lse, delta
dquery, dkey_dvalue = (counts.requested for counts in m.kernels.values())
assert dquery == H * (4 * matrix + 2 * numbers + S // tile.BLOCK_M * 2 * matrix)
assert m.total.flops_dot == (3 + 4) * 2 * H * S * S * K
assert dkey_dvalue == H * (4 * matrix + S // tile.BLOCK_N * 2 * (matrix + numbers))

# %% [markdown]
# ## 5. The same bits, every time
#
# One kernel could do with five, if programs added to $dK$ with atomic operations, in the order in
# which they happen to come. **Predict**: does the order of a sum of float32 matter? Here are the
# shares of 16 tiles of queries in one $dK$, added in 50 orders.

# %%
shares = [a.mT @ b for a, b in torch.randn(16, 2, 32, 64)]
sums = [sum(shares[i] for i in torch.randperm(16)) for _ in range(50)]
apart = max((x - sums[0]).abs().max() for x in sums)
print(f"{len({x.numpy().tobytes() for x in sums})} different results, up to {apart:.0e} apart")
assert apart > 0
again = torch.autograd.grad(context, (q, k, v), dc)
assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
assert m.total.bytes_atomic == 0

# %% [markdown]
# Small differences, but what can't be repeated can't be debugged. In the two kernels a sum is one
# program's, from the first tile to the last. (Here, where programs run one by one, equal bits prove
# little. That nothing is atomic, and that `memory_checks` finds no race, proves more.)
#
# ## 6. Dropout from the seed
#
# Dropout strikes out weights with probability $p$, and divides the others by $1 - p$. The backward
# pass must strike out the same. **Predict** the bytes of a boolean mask for 32 texts, 12 heads and
# $S$ = 512, and of what is kept instead.
#
# Philox is a function, not a state: a number in [0, 1) for each seed, head, query and key. Both
# passes ask it again, in whatever tiles. And $\delta_i = \sum_k dC_{ik} C_{ik}$ as before, since
# $C$ was made of the thinned weights.

# %%
B, H, S, K, p, seed = 1, 2, 50, 32, 0.3, 7
heads, order = torch.arange(H).view(H, 1, 1), torch.arange(S)
spared = philox.uniform(torch.tensor(seed), heads, order[:, None], order) >= p
print(f"a mask would be {32 * 12 * 512 * 512 / 1e6:.0f} MB, a seed is 8 bytes")


def with_mask(q, k, v):
    return ((q @ k.mT * K**-0.5).softmax(-1) * spared / (1 - p)) @ v


q, k, v = (torch.randn(B, H, S, K).requires_grad_() for _ in range(3))
dc = torch.randn(B, H, S, K)
fused = torch.autograd.grad(attention(q, k, v, dropout_p=p, seed=seed), (q, k, v), dc)
eager32 = torch.autograd.grad(with_mask(q, k, v), (q, k, v), dc)
wide = [x.detach().double().requires_grad_() for x in (q, k, v)]
exact = torch.autograd.grad(with_mask(*wide), wide, dc.double())
for name, a, b, r in zip("qkv", fused, eager32, exact, strict=True):
    ours, theirs = (a - r).abs().max(), (b - r).abs().max()
    print(f"d{name}: error {ours:.1e}, PyTorch's own in float32 {theirs:.1e}")
    assert ours <= 2 * theirs + 1e-6 * r.abs().max()

# %% [markdown]
# ## Exercises
#
# `minidistil learn start 09a` writes the first to `learn/`; `minidistil learn check 09a` tries it.
# 09b: the gradients of attention; 09c: dropout that stores no mask. Without a check:
#
# 1. Take `delta` out of `backward`. Which gradient is still right, and why?
# 2. In `kernels/minidistil_kernels/attention_backward.py`, in the second kernel, delete the line
#    that thins `dp`. Which law falls? Then `git checkout kernels` mends it.
#    `minidistil check minidistil/ops/triton_attention.py:padded --examples 2` takes a minute.
# 3. Larger tiles: set `importlib.import_module("minidistil_kernels.attention").backward_tile` to a
#    function that returns `Tile(128, 128, 4, 2)`, and this script's `backward_tile` too. Predict
#    the bytes of section 4. `assert dquery == 528_384`
# 4. A kernel for $dV$ with `tl.atomic_add`: a program owns 32 queries. Predict its `bytes_atomic`.
