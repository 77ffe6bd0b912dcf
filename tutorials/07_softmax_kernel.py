# %% [markdown]
# # The first kernel: softmax
#
# A kernel is a program for a GPU. We write one in Triton, predict the bytes it asks of memory, and
# count them; forget its mask; try it against the laws of softmax; and read the library's own.
#
# **You need** Linux, where Triton comes along, and `make demo` or `pip install -e '.[learn]'`. No
# GPU, no weights, no network: `python tutorials/07_softmax_kernel.py` takes some ten seconds.
#
# **At the end you can** say what a program, a grid, a lane and a mask are, count traffic line by
# line, write a kernel, and find out whether it is right.
#
# Before this: [The heads](06_heads.md), and for softmax [attention](03_attention.md). After it:
# [Fused attention](08_fused_attention.md).
#
# !!! note "Nothing here ran on a GPU, so nothing was timed"
#
#     Triton's interpreter runs a kernel as a Python function on NumPy, a program after the other.
#     Bytes, operations and mistakes can be counted in it, exactly.
#
# Triton decides between compiling and interpreting when it is imported, and parts of PyTorch import
# it too: so the variable comes first, also with a GPU: the meter below listens to the interpreter.

# %%
import os

os.environ["TRITON_INTERPRET"] = "1"
import inspect
import linecache
import re
import textwrap
import warnings

import torch
import triton
import triton.language as tl
from torch.utils._python_dispatch import TorchDispatchMode

from minidistil_kernels import lab, softmax
from minidistil_kernels.softmax import softmax_backward_kernel, softmax_forward_kernel
from minidistil_kernels.testing import check_softmax

torch.manual_seed(0)
warnings.filterwarnings("ignore", "All-NaN slice")  # a law below hands in a row of NaN

# %% [markdown]
# ## 1. Softmax in PyTorch, and what it moves
#
# $$y_i = e^{x_i - m} \Big/ \sum_j e^{x_j - m}, \qquad m = \max_j x_j$$
#
# for each of $R$ rows of $N$ elements. Every line below is an operation that reads whole tensors
# from memory and writes one back. On the right: what it reads → what it writes, in elements.


# %%
def naive(x):
    m = x.amax(-1, keepdim=True)  #    R N      ->  R
    shifted = x - m  #                 R N + R  ->  R N
    e = shifted.exp()  #               R N      ->  R N
    total = e.sum(-1, keepdim=True)  # R N      ->  R
    return e / total  #                R N + R  ->  R N


# %% [markdown]
# **Predict.** Add up both columns. How many bytes for $R$ = 8, $N$ = 1000 and float32? The ledger
# below hears of every operation that PyTorch runs, and adds up the sizes.


# %%
class Ledger(TorchDispatchMode):
    bytes = 0

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        result = op(*args, **kwargs or {})
        read = sum(x.nbytes for x in args if isinstance(x, torch.Tensor))
        print(f"{op.name():21} reads {read:6}, writes {result.nbytes:6}")
        self.bytes += read + result.nbytes
        return result


R, N = 8, 1000
x = torch.randn(R, N)
with Ledger() as ledger:
    naive(x)
print(f"{ledger.bytes:,} bytes")
assert ledger.bytes == (8 * R * N + 4 * R) * 4 == 256_128

# %% [markdown]
# The result needs `x` read once and `y` written once: $2 R N$ elements. The other three quarters
# carry intermediate results to memory and back. (`torch.softmax` itself is one kernel.)
#
# ## 2. Program, grid, lane, mask
#
# - A **program** is one run of the kernel; its number, `tl.program_id`, is all that distinguishes
#   it. Ours takes one row, and holds it on the chip from the first load to the store.
# - The **grid** says how many there are, here $R$. They run in any order, side by side: none may
#   need what another one writes.
# - A program computes on a tile of **lanes**, all in step. `tl.arange(0, BLOCK_N)` numbers them;
#   their count is a power of two, known when the kernel is compiled (`tl.constexpr`).
# - $N$ = 1000 is none, so we take 1024 lanes, and a **mask** turns the last 24 off: they load
#   nothing and store nothing. In place of what they did not load they hold `other`.
#
# **Predict.** Which `other` is right here: 0, or $-\infty$?


# %%
@triton.jit
def row_softmax_kernel(x_ptr, y_ptr, stride_x, stride_y, N, BLOCK_N: tl.constexpr):
    row = tl.program_id(0)
    lanes = tl.arange(0, BLOCK_N)
    inside = lanes < N
    x = tl.load(x_ptr + row * stride_x + lanes, mask=inside, other=float("-inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + row * stride_y + lanes, e / tl.sum(e, 0), mask=inside)


def row_softmax(x, mask=None):  # a mask, for padding, is not served yet
    rows, n = x.reshape(-1, x.shape[-1]), x.shape[-1]
    y, block = torch.empty(rows.shape, dtype=x.dtype), triton.next_power_of_2(n)
    row_softmax_kernel[(len(y),)](rows, y, rows.stride(0), y.stride(0), n, BLOCK_N=block)
    return y.view(x.shape)


torch.testing.assert_close(row_softmax(x), x.softmax(-1))

# %% [markdown]
# $-\infty$: it is never the maximum, and $e^{-\infty} = 0$ adds nothing. A 0 would add $e^{-m}$, 24
# times. A kernel gets no tensors but bare addresses: `x_ptr + row * stride_x + lanes` is 1024.
#
# ## 3. Predict, then count
#
# **Predict** for this kernel: the bytes loaded and stored, the share of lanes masked off, and the
# number of exponentials. (A lane that is off in memory computes all the same.)

# %%
with lab.meter() as fused:
    row_softmax(x)
print(fused)
counts = fused.total
assert counts.bytes_loaded == counts.bytes_stored == R * N * 4 == 32_000
assert counts.masked_lanes / counts.lanes == 24 / 1024
assert counts.flops_special == R * 1024
print(f"naive moves {ledger.bytes / counts.requested:.3f} times as much")

# %% [markdown]
# Loaded and stored is what the lanes *request*; `unique` counts an element once. What a GPU moves
# lies between the two; here they agree. No way to read `x` and write `y` moves less.
#
# ## 4. Forget the mask
#
# **Predict.** All 1024 lanes load and store, in eight programs, 0 to 7. Which is the first to do
# something forbidden, and what?


# %%
@triton.jit
def forgetful_kernel(x_ptr, y_ptr, N, BLOCK_N: tl.constexpr):
    lanes = tl.program_id(0) * N + tl.arange(0, BLOCK_N)
    x = tl.load(x_ptr + lanes)
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + lanes, e / tl.sum(e, 0))


for races in (True, False):
    try:
        with lab.memory_checks(races=races):
            forgetful_kernel[(R,)](x, torch.empty(R, N), N, BLOCK_N=1024)
    except lab.KernelError as error:
        place, file, number = re.findall(r"( at (.+):(\d+):)", str(error))[0]
        line = linecache.getline(file, int(number)).strip()  # printed in place of its number
        said = f"{type(error).__name__}: {str(error).replace(place, f' at `{line}`:')}"
        print(textwrap.fill(said, 90), end="\n\n")
        expected = "program (1, 0, 0) stores" if races else "program (7, 0, 0) loads element 8000"
        assert expected in str(error)

# %% [markdown]
# Program 0 isn't caught: behind row 0 lies row 1, in the same tensor. It reads 24 elements of that,
# and its result is quietly wrong. It also stores 24 too many, where program 1 stores: a race. Only
# program 7 leaves the tensor; the second try, not looking for races, gets that far. Without the
# checks all of it is silent, on a GPU as in the interpreter.
#
# ## 5. Is it right?
#
# `check_softmax` tries each law of softmax on fixed and on random cases, and looks for the smallest
# that fails. **Predict**: our kernel serves no mask and has no gradient. Which laws can hold?

# %%
print(report := check_softmax(row_softmax, examples=10))
reasons = [result.reason for result in report.results if result.reason]
assert sum("grad" not in reason for reason in reasons) == 1

# %% [markdown]
# Read a failure from below: the reason, the case, the law. All but one have the same reason: there
# is no gradient. The other is a row of one place, and that is masked: it should sum to 0.
#
# ## 6. The library's kernel, line by line
#
# `HAS_MASK` is a constant: the kernel is compiled once with that branch and once without. A masked
# place becomes $-\infty$, like one past the end. So a whole row may be: **predict** what `y` would
# then be without the last `tl.where`.


# %%
def show(kernel, first, last):
    """Print a kernel from the line with `first` to the line with `last`."""
    lines = inspect.getsource(kernel.fn).splitlines()
    start = next(i for i, line in enumerate(lines) if first in line)
    stop = next(i for i, line in enumerate(lines) if i >= start and last in line)
    print("\n".join(lines[start : stop + 1]))


show(softmax_forward_kernel, "row = ", "tl.store")

# %% [markdown]
# NaN: the maximum of such a row is $-\infty$, and $-\infty + \infty$ is no number. `tl.where` puts
# 0 there, and the store goes to *all* places of the row, so that masked ones get their 0.
#
# The gradient: $\partial y_i / \partial x_j = y_i (\delta_{ij} - y_j)$, with $\delta_{ij}$ = 1
# where $i = j$, else 0. With $dy$, $dx$ for the gradients of the loss by $y$, $x$:
#
# $$dx_j = \sum_i dy_i \, y_i (\delta_{ij} - y_j) = y_j \Big(dy_j - \sum_i y_i \, dy_i\Big)$$
#
# It needs `y`, not `x`. **Predict** the bytes of the forward, with a mask of a byte a place, and
# of the backward.

# %%
show(softmax_backward_kernel, "y = tl.load", "tl.store")
leaf, mask = x.clone().requires_grad_(), torch.rand(R, N) < 0.6
with lab.meter() as both:
    softmax(leaf, mask).backward(torch.randn(R, N))
forward, backward = both.kernels.values()
print(f"forward {forward.requested:,}, backward {backward.requested:,}")
assert forward.requested == (4 + 1 + 4) * R * N
assert backward.requested == 3 * 4 * R * N
print(report := check_softmax(softmax, examples=3))
assert report.holds

# %% [markdown]
# ## Exercises
#
# `minidistil learn start 07a` writes the first to `learn/`; `minidistil learn check 07a` tries it.
# 07b: softmax of rows; 07c: half the bytes; 07d: residual and LayerNorm. Without a check:
#
# 1. Serve a mask in `row_softmax`. Which law holds then that did not before?
# 2. Copy `kernels/minidistil_kernels/softmax.py` to `mine.py`, and leave the maximum out: `exp(x)`.
#    Which law falls? `minidistil check mine.py:softmax --op softmax --examples 5`. Then leave the
#    last `tl.where` out, with the maximum back in: which laws fall, and which case do they show?
# 3. A program for four rows: `4 * tl.program_id(0) + tl.arange(0, 4)`. **Predict** programs, bytes.
# 4. Long rows, in blocks of 256 lanes: loops for $m$, the sum and $y$ request $4 R N$ elements. In
#    one loop for two, a new maximum $m'$ shrinks the sum so far by $e^{m - m'}$: assert $3 R N$.
