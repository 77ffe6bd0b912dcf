# %% [markdown]
# # Fused attention
#
# Attention has $S \times S$ weights a head. Here it is computed without holding them: a row with a
# pencil, then tiles, then the library's own kernel. Its bytes are counted, not timed: no GPU ran.
#
# **You need** Linux, where Triton comes along, and `make demo` or `pip install -e '.[learn]'`. No
# GPU, no weights, no network: `python tutorials/08_fused_attention.py` takes some ten seconds.
#
# **At the end you can** join two halves of a softmax, derive the bytes of a fused kernel before you
# count them, read that kernel, and say what packing a batch saves.
#
# Before this: [The first kernel](07_softmax_kernel.md), on programs and the meter. After it:
# [Attention backward](09_attention_backward.md). Letters: [Notation](../notation.md).

# %%
import os

os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported, by us or by torch
import inspect
import math

import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from torch.utils._python_dispatch import TorchDispatchMode

from minidistil_kernels import attention, lab
from minidistil_kernels.attention_forward import attention_forward_kernel, forward_tile
from minidistil_kernels.testing.attention import LAWS

plt.style.use("minidistil.visual.style")
torch.manual_seed(0)
H, K = 2, 64  # heads, and their width

# %% [markdown]
# ## 1. The matrix that nobody asked for
#
# The ledger counts what scores, softmax and context read and write: PyTorch calls it for every
# operation. A result at the address (`data_ptr`) of an input is a view of it, and moves nothing.


# %%
class Ledger(TorchDispatchMode):
    operations, read, written = 0, 0, 0

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


# %% [markdown]
# **Predict** the elements moved for one head. (The scaling reads $S K$ and writes $S K$; the scores
# read $2 S K$ and write $S^2$; then softmax, then context.) How many of them had to move?

# %%
for S in [128, 256, 512]:
    q, k, v = torch.randn(3, 1, H, S, K).half()
    with Ledger() as ledger:
        naive(q[0], k[0], v[0])
    moved, bound = ledger.read + ledger.written, 4 * q.nbytes
    print(f"S = {S}: {moved / 1e6:.2f} MB moved, inputs and result are {bound / 1e6:.2f} MB")
    assert moved == H * (4 * S * S + 6 * S * K) * 2

# %% [markdown]
# The inputs grow with $S$, the traffic with $S^2$: weights written, read, written, read.
#
# ## 2. A softmax in two halves
#
# Without the matrix we see a row piece by piece. But softmax needs maximum and sum of the *whole*
# row. Say a first half has its maximum $m_1$, its sum $l_1 = \sum_j e^{s_j - m_1}$, and
# $a_1 = \sum_j e^{s_j - m_1} v_j$; the second $m_2, l_2, a_2$. With $m = \max(m_1, m_2)$,
#
# $$l = l_1 e^{m_1 - m} + l_2 e^{m_2 - m}, \qquad a = a_1 e^{m_1 - m} + a_2 e^{m_2 - m}$$
#
# because $e^{s - m_1} e^{m_1 - m} = e^{s - m}$: what was summed too large *shrinks*. The context is
# $a / l$. **Predict** both factors for the row below. No calculator is needed: $e^{\ln 2} = 2$.


# %%
def half(scores, values):
    m = max(scores)
    powers = [math.exp(s - m) for s in scores]
    return m, sum(powers), sum(p * v for p, v in zip(powers, values, strict=True))


scores, values = [math.log(n) for n in (1, 2, 4, 8)], [1, 2, 3, 4]
m1, l1, a1 = half(scores[:2], values[:2])  # ln 2,  1/2 + 1,  1/2 * 1 + 1 * 2
m2, l2, a2 = half(scores[2:], values[2:])  # ln 8,  1/2 + 1,  1/2 * 3 + 1 * 4
m = max(m1, m2)
first, second = math.exp(m1 - m), math.exp(m2 - m)
context = (a1 * first + a2 * second) / (l1 * first + l2 * second)
print(f"factors {first:.2f} and {second:.2f}, context {context:.4f}")
assert math.isclose(context, (1 * 1 + 2 * 2 + 4 * 3 + 8 * 4) / 15)

# %% [markdown]
# ## 3. In tiles
#
# All rows, many pieces, a mask: `m`, `total`, `acc` are running maximum, sum and context of each
# query, and one tile of scores is held. `m` starts finite: $-\infty - (-\infty)$ is NaN.


# %%
def tiled(query, key, value, mask=None, *, scale=None, dropout_p=0.0, rescale=True):
    q, k, v = query.float() * (scale or query.shape[-1] ** -0.5), key.float(), value.float()
    m = torch.full_like(q[..., :1], -3e38)
    total, acc = torch.zeros_like(m), torch.zeros_like(q)
    for tile in torch.arange(k.shape[-2]).split(16):
        s = q @ k[..., tile, :].mT
        if mask is not None:
            s = s.masked_fill(~mask[..., tile], -torch.inf)
        m_new = torch.maximum(m, s.amax(-1, keepdim=True))
        p = torch.exp(s - m_new)
        alpha = torch.exp(m - m_new) if rescale else 1.0
        total = total * alpha + p.sum(-1, keepdim=True)
        acc = acc * alpha + F.dropout(p, dropout_p) @ v[..., tile, :]
        m = m_new
    return (acc / torch.where(total == 0, 1.0, total)).to(query.dtype), None


def no_rescale(*args, **options):
    return tiled(*args, **options, rescale=False)


# %% [markdown]
# **Predict.** Without rescaling, up to how many keys is the result right? Is it still a *mean* of
# the values? Here are three of the laws that `check_attention` tries, each on a few cases.

# %%
for part, holds in {"no keys": True, "is a mean": True, "order of the keys": False}.items():
    law = next(law for law in LAWS if part in law.sentence)
    print(result := law.try_on(no_rescale, examples=3))
    assert result.holds == holds and law.try_on(tiled, examples=3).holds
for S, right in [(16, True), (17, False)]:
    few = torch.randn(3, 1, H, S, K)
    assert torch.allclose(no_rescale(*few)[0], tiled(*few)[0], atol=1e-3) == right

# %% [markdown]
# Right for 16 keys, one tile: a test on short texts sees nothing. (Look at the `length` of the
# case found.) Beyond, it is still a mean, but its weights depend on the order of the keys.
#
# ## 4. The kernel, line by line
#
# `attention_forward_kernel` is `tiled` for a GPU. A program owns `BLOCK_M` queries of one head.
# It walks over the keys, `BLOCK_N` at a time; `keep` says which of them count. Values that don't
# aren't loaded: 0 times NaN is NaN. Strides count `UNIT`s, so that the compiler sees alignment.


# %%
def show(kernel, first, last):
    lines = inspect.getsource(kernel.fn).splitlines()
    start = next(i for i, line in enumerate(lines) if first in line)
    stop = next(i for i, line in enumerate(lines) if i >= start and last in line)
    print("\n".join(lines[start : stop + 1]))


show(attention_forward_kernel, "start_m, b, h", "return")
show(attention_forward_kernel, "offs_m = ", "k = load_rows")

# %% [markdown]
# The heart, line for line that of `tiled` (`l` was `total`), in powers of 2, for which a GPU has an
# instruction: $e^x = 2^{x \log_2 e}$, with $\log_2 e$ in `scale_log2`. At the end one division, and
# the log-sum-exp $\mathrm{lse} = \ln \sum_j e^{s_j} = m + \ln l$, all that the backward pass needs.

# %%
show(attention_forward_kernel, "s = tl.dot", "m = m_new")
show(attention_forward_kernel, "inside = ", "store_rows")

# %% [markdown]
# ## 5. Predict the bytes, then count
#
# ⌈$S$ / `BLOCK_M`⌉ programs a head, each of which reads its queries and *all* keys and values, and
# writes its context and an lse of 4 bytes a query. **Predict** for float16, $S$ = 512, tiles of 64.


# %%
def predict(S, counting=None):
    """Bytes of one text; `counting`: how many keys its mask keeps, None without a mask."""
    tile = forward_tile(torch.float16, K)
    programs = H * math.ceil(S / tile.BLOCK_M)
    keys = math.ceil(S / tile.BLOCK_N) * tile.BLOCK_N
    mask, values = (0, keys) if counting is None else (keys, counting)
    return programs * ((tile.BLOCK_M + keys + values) * K * 2 + mask) + H * S * (K * 2 + 4)


with lab.meter() as fused:
    context = attention(q, k, v)
assert fused.total.requested == predict(512)
torch.testing.assert_close(context, F.scaled_dot_product_attention(q, k, v), atol=2e-3, rtol=0)
counts = lab.Counts(
    ledger.operations, bytes_loaded=ledger.read, unique_loaded=ledger.read,
    bytes_stored=ledger.written, unique_stored=ledger.written, flops_dot=fused.total.flops_dot,
)  # fmt: skip
runs = {"naive": lab.Traffic({"PyTorch": counts}), "fused": fused}
print(lab.side_by_side(runs, bound))
plt.figure(lab.draw_bytes(runs, bound))
# alt: Two bars. Naive moves 5.0 MB, all of it unique. Fused requests 2.4 MB, of which only 0.5 MB
#   are unique: hardly more than the lower bound, a dashed line.
plt.show()
head, weights = k[0, 0].nbytes + v[0, 0].nbytes, 32 * 12 * 512 * 512 * 2
print(f"K and V of a head {head / 1e6:.2f} MB, weights of 32 * 12 heads {weights / 1e6:.0f} MB")

# %% [markdown]
# Requested, an upper bound of what comes from memory, is half of naive's bytes; unique is a tenth.
# (Of naive only the FLOP of products are counted.) What is read twice may come from the cache, on a
# large GPU tens of MB. The kernel reads K and V of a head once for each tile of queries: 0.13 MB,
# which fit. Naive writes all weights, then reads them: 201 MB for 32 texts, 12 heads; they do not.
#
# ## 6. Packed against padded
#
# Padding is loaded and multiplied, then masked; only its values stay away.
# [Packed](../notation.md#shapes), the texts follow one another. Each program reads 8 bytes of
# `cu_seqlens`, and past the end of its text it returns. **Predict** the bytes of both.

# %%
lengths = torch.tensor([128, 40, 64, 20])
real = torch.arange(128) < lengths[:, None]
q, k, v = torch.randn(3, 4, H, 128, K).half()
with lab.meter() as padded:
    expected = attention(q, k, v, real)
cu_seqlens = F.pad(lengths.cumsum(0), (1, 0)).int()
with lab.meter() as packed:
    context = attention(*(x.transpose(1, 2)[real] for x in (q, k, v)), cu_seqlens=cu_seqlens)
assert torch.equal(context, expected.transpose(1, 2)[real])
print(lab.side_by_side({"padded": padded, "packed": packed}, 4 * context.nbytes))
assert padded.total.requested == sum(predict(128, n) for n in lengths.tolist())
assert packed.total.requested == sum(map(predict, lengths.tolist())) + 4 * H * 2 * 8

# %% [markdown]
# ## Exercises
#
# `minidistil learn start 08a` writes the first to `learn/`; `minidistil learn check 08a` tries it.
# 08b: a broken kernel; 08c: a tile without a key. Without a check:
#
# 1. In `kernels/minidistil_kernels/attention_forward.py` let `alpha` be 1: `tl.exp2(m - m)`. Which
#    laws fall? `minidistil check minidistil/ops/triton_attention.py:padded --examples 2`, a minute.
#    Then `git checkout kernels` mends it.
# 2. Larger tiles: `importlib.import_module("minidistil_kernels.attention").forward_tile = mine`, a
#    function that returns `Tile(128, 64, 4, 2)`. Predict the bytes of section 5: 1,314,816.
# 3. In float32 the tiles are 32 by 32. Bytes requested, naive and fused, differ by a tenth. Unique?
