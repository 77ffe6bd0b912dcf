# %% [markdown]
# # The heads
#
# Six blocks turn ids into hidden states, $D$ numbers a token, which mean nothing to anybody yet. A
# head makes an answer of them: a label, a word, the place of an answer. It is one or two small
# layers, and a loss that says how wrong the answer was. Five tasks, five heads, and two ideas:
# *which tokens does it read*, and *over what does the softmax go*.
#
# **You need** minidistil and nothing else: the student that comes with it is the model.
# `python tutorials/06_heads.py` runs in ten seconds, without GPU or network.
#
# **At the end you can** say what each head reads and returns, compute a cross-entropy on paper,
# leave labels out with -100, find the best answer of a question, and put a new head on a trained
# model.
#
# Before this: [Agreeing with the reference](05_reference.md). After it:
# [The first kernel](07_softmax_kernel.md). Letters: [Notation](../notation.md).

# %%
from dataclasses import replace

import torch
import torch.nn.functional as F

from minidistil import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForMultipleChoice,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
    DistilBertTokenizer,
    pipeline,
)
from minidistil.assets import STUDENT

torch.manual_seed(0)
tokenizer = DistilBertTokenizer.from_pretrained(STUDENT)
model = DistilBertForSequenceClassification.from_pretrained(STUDENT)

# %% [markdown]
# ## 1. A label for a text
#
# Attention lets the first token, `[CLS]`, read the whole text, so its hidden state can stand for
# the text. The head is two layers on that one row: `pre_classifier`, $D \to D$, ReLU, then
# `classifier`, $D \to C$ labels. The result are **logits**: any numbers. Softmax makes
# probabilities of them.
#
# **Predict** the shapes of hidden states and logits below, for $B$ = 2 texts, $D$ = 384, $C$ = 2.

# %%
texts = ["A joy from the first word to the last.", "A waste of an evening."]
batch = tokenizer(texts, padding=True, return_tensors="pt")
with torch.no_grad():
    hidden = model.distilbert(**batch).last_hidden_state
    logits = model.classifier(model.pre_classifier(hidden[:, 0]).relu())
    assert torch.equal(logits, model(**batch).logits)
print(tuple(hidden.shape), tuple(logits.shape))
for text, row in zip(texts, logits.softmax(-1).tolist(), strict=True):
    print({model.config.id2label[i]: round(p, 3) for i, p in enumerate(row)}, text)
assert logits.argmax(-1).tolist() == [1, 0]

# %% [markdown]
# ## 2. Cross-entropy on paper
#
# How wrong is a distribution? Take the logarithm of the probability that it gave to what is right,
# and turn the sign: $-\ln p$. Sure and right costs 0, one half costs $\ln 2 = 0.69$, sure and wrong
# costs without bound. **Predict** the loss of logits $(0, \ln 3)$ for label 1, and for label 0. And
# what does a model lose that knows nothing about 30,522 words?

# %%
two = torch.tensor([[1.0, 3.0]]).log()  # (0, ln 3): probabilities 1/4 and 3/4
for label in (1, 0):
    loss = F.cross_entropy(two, torch.tensor([label]))
    by_hand = torch.logsumexp(two, -1) - two[0, label]
    print(f"label {label}: {loss:.4f}")
    torch.testing.assert_close(loss, by_hand[0])
torch.testing.assert_close(F.cross_entropy(two, torch.tensor([1])), torch.tensor(4 / 3).log())
print(f"one of 30,522: {torch.tensor(30_522.0).log():.2f}")

# %% [markdown]
# Its gradient is short: $p - y$, the probabilities less 1 at the right place. So a loss pulls as
# hard as it is wrong. **Predict** the gradient of the logits above for label 0.

# %%
leaf = two.clone().requires_grad_()
F.cross_entropy(leaf, torch.tensor([0])).backward()
print(leaf.grad)
assert leaf.grad is not None
torch.testing.assert_close(leaf.grad, torch.tensor([[0.25 - 1, 0.75]]))

# %% [markdown]
# ## 3. A word for a place
#
# The other heads on a small model with random weights, because shapes and losses do not depend on
# training. The masked-LM head reads *every* token and has a logit for each of $V$ words. Its last
# matrix, $D \times V$, would be half of the model again, so it is the word table itself, used the
# other way round: "tied". **Predict** how many parameters the head adds.

# %%
sizes = DistilBertConfig(
    vocab_size=200, n_layers=2, n_heads=2, dim=32, hidden_dim=64, max_position_embeddings=32
)
masked = DistilBertForMaskedLM(sizes).eval()
assert masked.vocab_projector.weight is masked.distilbert.embeddings.word_embeddings.weight
added = masked.num_parameters() - masked.distilbert.num_parameters()
print(f"{added} = D * D + D, then 2 D of a LayerNorm, then V biases")
assert added == 32 * 32 + 32 + 2 * 32 + 200

# %% [markdown]
# Most places have no question asked: their label is **-100**, which is left out of the mean.
# **Predict** which of these two losses is larger: labels at places 1 and 3, or at place 1 alone?
# And the loss where all labels are -100: 0, or NaN?

# %%
ids = torch.randint(5, 200, (1, 6))
logits = masked(ids).logits
both, one, none = torch.full((3, 1, 6), -100).unbind(0)
both[0, [1, 3]] = ids[0, [1, 3]]
one[0, 1] = ids[0, 1]
losses = [masked(ids, labels=labels).loss for labels in (both, one, none)]
print("loss:", *(f"{loss.item():.3f}" for loss in losses))
torch.testing.assert_close(losses[0], F.cross_entropy(logits[0, [1, 3]], ids[0, [1, 3]]))
assert losses[2] == 0

# %% [markdown]
# It can be either: a mean over two is not larger than over one. Libraries return NaN for the last,
# a mean over nothing; one such batch ends a training run. Here there is nothing to learn, so it is
# 0.
#
# ## 4. A tag for each token
#
# Names and places are spans of words: the first word is tagged B-, the next ones I-, all others O.
# Words are made of several tokens; the first one carries the tag and the others get -100.
# **Predict** the labels of the tokens of "Ada Lovelace wrote" with tags B-PER, I-PER, O.

# %%
kinds = {0: "O", 1: "B-PER", 2: "I-PER"}
tagger = DistilBertForTokenClassification(
    replace(sizes, id2label=kinds, label2id=None, vocab_size=tokenizer.vocab_size)
)
row = tokenizer(["Ada", "Lovelace", "wrote"], is_split_into_words=True, return_tensors="pt")
words, tags, labels = row.word_ids(), [1, 2, 0], []
for place, word in enumerate(words):
    first = word is not None and word != words[place - 1]
    labels.append(tags[word] if first else -100)
print(*zip(row.tokens(), labels, strict=True))
output = tagger(**row, labels=torch.tensor([labels]))
assert output.logits.shape == (1, len(words), 3)
assert sum(label >= 0 for label in labels) == 3

# %% [markdown]
# ## 5. Where is the answer?
#
# A question and a context go in together. Each token gets **two** logits, for "the answer starts
# here" and "it ends here", and the softmax goes over the *tokens*, not over labels. The answer is
# the pair with the largest sum, start not after end. **Predict** it below. Taking each maximum by
# itself gives 4 to 1: an answer that ends before it starts.

# %%
start = torch.tensor([0.0, 1.0, 2.0, 0.0, 5.0])
end = torch.tensor([0.0, 4.0, 3.0, 0.0, 1.0])
pairs = start[:, None] + end[None, :]  # (S, S): row is the start
pairs = pairs.masked_fill(torch.ones(5, 5).tril(-1).bool(), -torch.inf)
best = divmod(int(pairs.argmax()), 5)
print("start", best[0], "end", best[1])
assert best == (4, 4) and (int(start.argmax()), int(end.argmax())) == (4, 1)
asker = DistilBertForQuestionAnswering(sizes).eval()
output = asker(ids, start_positions=torch.tensor([2]), end_positions=torch.tensor([9]))
assert output.start_logits.shape == (1, 6)
torch.testing.assert_close(output.loss, F.cross_entropy(output.start_logits, torch.tensor([2])) / 2)

# %% [markdown]
# The end, 9, lies past the text of 6 tokens: the answer was cut off. That half of the loss counts
# for nothing, as with -100.
#
# ## 6. Which of several?
#
# Multiple choice reads each choice as a text of its own behind the prompt, (B, C, S), makes *one*
# number of each, and the softmax goes over the choices. **Predict** the shape of its logits for two
# prompts with four choices of six tokens.

# %%
chooser = DistilBertForMultipleChoice(sizes).eval()
output = chooser(torch.randint(5, 200, (2, 4, 6)), labels=torch.tensor([1, 3]))
print(
    tuple(output.logits.shape),
    f"loss {output.loss.item():.2f}, ln 4 = {torch.tensor(4.0).log():.2f}",
)
assert output.logits.shape == (2, 4)

# %% [markdown]
# ## 7. A new head on a trained model
#
# `from_pretrained` takes what fits and draws the rest anew, with a warning that names it. So the
# student's blocks can get a tagger's head, to be trained on your own names. **Predict** which
# parameters are new.

# %%
fresh, info = DistilBertForTokenClassification.from_pretrained(
    STUDENT, id2label=kinds, label2id=None, ignore_mismatched_sizes=True, output_loading_info=True
)
print("new:", *info["missing_keys"], *info["mismatched_keys"])
print("not used:", *info["unexpected_keys"])
same = fresh.distilbert.embeddings.word_embeddings.weight
assert torch.equal(same, model.distilbert.embeddings.word_embeddings.weight)
sentiment = pipeline("text-classification")("The heads were worth it.")
print(sentiment)

# %% [markdown]
# ## Exercises
#
# `minidistil learn start 06a` writes the first to `learn/`; `minidistil learn check 06a` tries it.
#
# 1. **06a**: cross-entropy that leaves labels out, and survives when none is left.
# 2. **06b**: the best answer that is not too long.
# 3. **06c**: a vector for a text: the mean of its tokens.
# 4. Without a check: several labels at once (a text can be funny *and* sad) need another last step
#    than softmax. Which, and what is its loss? [The answer](../faq.md#which-problem_type-do-i-need)
#    is a row of a table.
