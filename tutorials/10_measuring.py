# %% [markdown]
# # Measuring a kernel
#
# A kernel is finished when you know what it could not do better. That takes three questions, and
# none of them needs a GPU: how many **bytes** does it move, and how few would do? Which **limit**
# would it meet first on a given machine? And what did the **compiler** make of it? The fourth, how
# long it takes, only a GPU answers; by then you should have predicted it.
#
# **You need** Linux, where Triton comes along, and `make demo` or `pip install -e '.[learn]'`. Then
# `python tutorials/10_measuring.py` runs in half a minute, without a GPU or a network.
#
# **At the end you can** count a kernel's traffic, place it under a roofline, read a compiler's
# report, and predict a time before you measure it.
#
# Before this: [Attention backward](09_attention_backward.md). After it:
# [Distillation losses by hand](11_losses.md).

# %%
import os
import subprocess
import sys

os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
import triton
import triton.language as tl

from minidistil_kernels import add_layer_norm, interpreter, lab
from minidistil_kernels.lab.roofline import GPUS

if not interpreter.INTERPRETING:
    sys.exit("Traffic is counted in Triton's interpreter: set TRITON_INTERPRET=1")
plt.style.use("minidistil.visual.style")
torch.manual_seed(0)
ROWS, D = 96, 768

# %% [markdown]
# ## 1. What must move
#
# Behind each half of a block stands `LayerNorm(x + residual)`. **Predict** the bytes that must move
# for 96 rows of 768 numbers in float32, if everything is read once and written once: two inputs, a
# weight and a bias, one output.

# %%
x, residual = torch.randn(2, ROWS, D)
weight, bias = torch.randn(2, D)
bound = (3 * ROWS * D + 2 * D) * 4
print(f"lower bound {bound:,} bytes")

# %% [markdown]
# Line by line, as PyTorch would run it eagerly, the sum is written and read again, and so is all
# that comes between. Count a read or a write for each tensor that a line touches. **Predict** how
# many times the lower bound that is.

# %%
passes = [
    ("s = x + residual", 3),  # two read, one written
    ("mean = s.mean(-1)", 1),  # and a row of means, which is next to nothing
    ("c = s - mean", 2),
    ("variance = (c * c).mean(-1)", 1),
    ("y = c * rsqrt(variance + eps) * weight + bias", 2),
]
naive = sum(count for _, count in passes) * ROWS * D * 4
print(f"{naive / bound:.1f} times the lower bound")
assert 2.9 < naive / bound < 3.1

# %% [markdown]
# ## 2. What does move
#
# `lab.meter` counts every load and store in Triton's interpreter. **Requested** is what all lanes
# ask for; **unique** counts each element once a launch, as if a cache held all of it. What memory
# sees lies between. **Predict** the two for the library's kernel: it reads weight and bias in every
# program.

# %%
with lab.meter() as fused:
    y = add_layer_norm(x, residual, weight, bias)
torch.testing.assert_close(y, F.layer_norm(x + residual, (D,), weight, bias, 1e-12))
print(fused)
print(f"unique {fused.total.unique / bound:.3f} of the bound, requested", end=" ")
print(f"{fused.total.requested / bound:.3f}")
assert fused.total.requested >= fused.total.unique >= bound
assert fused.total.requested < 2 * bound

# %% [markdown]
# Now a kernel that looks as good. It gives the same numbers, and each program owns a row, too.
# **Predict** what its two counts are before you run it; the trap is in the middle.


# %%
@triton.jit
def two_pass_kernel(x_ptr, r_ptr, w_ptr, b_ptr, y_ptr, D, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    total = 0.0
    squares = 0.0
    for start in range(0, D, BLOCK):
        offs = start + tl.arange(0, BLOCK)
        inside = offs < D
        s = tl.load(x_ptr + row * D + offs, mask=inside, other=0.0)
        s += tl.load(r_ptr + row * D + offs, mask=inside, other=0.0)
        total += tl.sum(s)
        squares += tl.sum(s * s)
    mean = total / D
    scale = 1.0 / tl.sqrt(squares / D - mean * mean)
    for start in range(0, D, BLOCK):
        offs = start + tl.arange(0, BLOCK)
        inside = offs < D
        s = tl.load(x_ptr + row * D + offs, mask=inside, other=0.0)
        s += tl.load(r_ptr + row * D + offs, mask=inside, other=0.0)
        w = tl.load(w_ptr + offs, mask=inside)
        b = tl.load(b_ptr + offs, mask=inside)
        tl.store(y_ptr + row * D + offs, (s - mean) * scale * w + b, mask=inside)


again = torch.empty_like(x)
with lab.meter() as twice:
    two_pass_kernel[(ROWS,)](x, residual, weight, bias, again, D, BLOCK=256)
torch.testing.assert_close(again, y, atol=1e-5, rtol=0)
runs = {"one pass": fused, "two passes": twice}
print(lab.side_by_side(runs, bound))
plt.figure(lab.draw_bytes(runs, bound))
# alt: Two bars of requested bytes, the unique ones in full colour. The unique ones are alike and
#   reach the dashed lower bound; the kernel of two passes requests two fifths more.
plt.show()
assert twice.total.unique == fused.total.unique
assert 5 * twice.total.requested == 7 * fused.total.requested

# %% [markdown]
# The unique bytes are the same, so a cache that keeps a row (here 6 kB) hides the second pass. Rows
# that no longer fit pay for it. That is what the two counts are for: where they agree, nothing
# depends on luck.
#
# And a second fault, which no count shows: $E[s^2] - E[s]^2$ takes the difference of two large
# numbers. **Predict** what happens to a row with mean 1,000 and variance 1 in float32.

# %%
far = torch.randn(1, D) + 1000
wrong = torch.empty_like(far)
two_pass_kernel[(1,)](far, torch.zeros_like(far), weight, bias, wrong, D, BLOCK=256)
right = F.layer_norm(far, (D,), weight, bias)
print(f"largest error {(wrong - right).abs().max():.2g}")
assert not torch.allclose(wrong, right, atol=1e-2)

# %% [markdown]
# ## 3. Which limit comes first
#
# A GPU has a peak of arithmetic, FLOP/s, and a peak of memory, bytes/s. A kernel that does $F$
# operations on $B$ bytes takes at least $\max(F / \text{peak}, B / \text{bandwidth})$. The ratio $F
# / B$ says which: below the **ridge**, peak / bandwidth, memory is the limit.
#
# **Predict** the ridge of an A100 in float32 (19.5 TFLOP/s, 2,039 GB/s), and on which side
# LayerNorm is. It does some ten operations a number, on 12 bytes.

# %%
peak = GPUS["A100"]
ridge = peak.fp32 / peak.bandwidth
intensity = fused.total.flops / fused.total.unique
print(f"ridge {ridge:.1f} FLOP a byte, the kernel has {intensity:.2f}")
assert intensity < ridge
tokens = 32 * 512  # a batch of full length
least = bound / ROWS * tokens / peak.bandwidth
print(f"at least {least * 1e6:.0f} us for {tokens:,} tokens, whatever the arithmetic")

# %% [markdown]
# So no cleverer arithmetic makes it faster: only fewer bytes do. Half precision halves them. Fusing
# it into its neighbour, where the numbers are on the chip already, would save more.
#
# A matrix product lies on the other side. **Predict** its $F / B$ for (16,384, 768) times (768,
# 3,072) in float16.

# %%
M, N, K = tokens, 3072, 768
product = 2 * M * N * K / (2 * (M * K + K * N + M * N))
print(f"{product:.0f} FLOP a byte; ridge of the tensor cores {peak.half / peak.bandwidth:.0f}")
assert product > peak.half / peak.bandwidth
plt.figure(lab.draw_roofline(runs, "A100"))
# alt: A roofline on double logarithmic axes: a slope, memory's limit, that turns into two flat
#   roofs. Both kernels lie far down the slope; that of two passes reaches further left.
plt.show()

# %% [markdown]
# ## 4. What the compiler made of it
#
# Triton compiles for GPUs that are not there. The machine code says how many **registers** a thread
# takes, whether some were **spilled** to slow memory (`local ld/st`), how **wide** the accesses to
# memory are (128 bits is best), and how many blocks fit on a multiprocessor at once. None of it is
# a time; each can be the reason for one. **Predict**: is any register of LayerNorm's kernel
# spilled?

# %%
environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
command = [sys.executable, "-m", "minidistil_kernels.lab.ahead_of_time"]
command += ["--target", "sm_80", "--kernel", "add_layer_norm"]
done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
print(done.stdout)
assert "add_layer_norm" in done.stdout

# %% [markdown]
# ## 5. Then, the time
#
# With a GPU: `triton.testing.do_bench(lambda: add_layer_norm(x, residual, weight, bias))`. Before
# you run it, write down the bound of section 3. A kernel at 80 % of the bandwidth is done. One at
# 30 % has a reason in section 2 or 4. One above 100 % has read from a cache: take a larger input.
# And compare in pairs, in turns, in one process: a GPU that has warmed up is another GPU.
#
# ## Exercises
#
# `minidistil learn start 10a` writes the first to `learn/`; `minidistil learn check 10a` tries it.
#
# 1. **10a**: the least bytes of attention, padded, packed, with and without its weights.
# 2. **10b**: a roofline: the least time, and the limit that sets it.
# 3. **07c**: two kernels into one, at half the bytes.
# 4. Without a check: mend the variance in `two_pass_kernel` without a third pass. (Welford's sums,
#    or a tile that holds the whole row.) What do the counts say?
