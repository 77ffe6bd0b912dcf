# %% [markdown]
# # From text to ids
#
# A model computes with numbers, people write letters. Between the two stands the tokenizer: text
# goes in, a list of integers comes out, the `input_ids`. No step of it needs a neural network, so
# we can do every one by hand.
#
# **You need** minidistil and nothing else: no weights, no GPU, no network. It takes seconds:
# `python tutorials/01_text_to_ids.py`.
#
# **At the end you can** cut any word into WordPiece tokens on paper, say what `##`, `[UNK]`,
# `[CLS]`, `[SEP]` and `[PAD]` are for, read an attention mask and an offset, train a vocabulary.
#
# This is the first tutorial. After it: [Embeddings](02_embeddings.md). Letters such as $B$, $S$ and
# $V$ are those of the page [Notation](../notation.md). Where it says **Predict**, stop and write
# your answer down before you read on. Exercises that check themselves: `minidistil learn`.

# %%
import re
from unicodedata import category, name, normalize

import torch

from minidistil import DistilBertConfig, DistilBertModel, DistilBertTokenizer
from minidistil.tokenization import BasicTokenizer, WordPieceTokenizer
from minidistil.tokenization.trainer import train_vocabulary

# %% [markdown]
# ## 1. Normalise
#
# "Émile", "émile" and "EMILE" should not cost three places in a vocabulary. An *uncased* model
# throws the difference away: it drops accents and lower-cases. Unicode helps: its form NFD takes a
# letter apart into the bare letter and its accents, whose category is `Mn` (mark, nonspacing).
#
# **Predict.** How many characters does `é` have after NFD?

# %%
parts = normalize("NFD", "é")
for part in parts:
    print(category(part), name(part))
assert len(parts) == 2


def normalise(text):
    apart = normalize("NFD", text)
    return "".join(char for char in apart if category(char) != "Mn").lower()


print(normalise("Émile isn't at the Café."))
# The price: these can never be told apart again.
assert normalise("résumé") == normalise("Resume") == "resume"

# %% [markdown]
# ## 2. Split into words
#
# Cut at whitespace, and make every punctuation mark a word of its own. **Predict.** How many words
# does `Émile isn't at the Café.` give? (The apostrophe is punctuation.)


# %%
def split(text):
    return re.findall(r"\w+|[^\w\s]", normalise(text))


print(split("Émile isn't at the Café."))
assert len(split("Émile isn't at the Café.")) == 8

# %% [markdown]
# ## 3. WordPiece: the longest match, from the left
#
# There are more words than any vocabulary can hold. So WordPiece keeps frequent words whole and
# writes rare ones with frequent pieces. A piece that continues a word is marked `##`: each token
# says by itself whether a new word starts, and the words can be put together again.
#
# Our vocabulary has $V = 17$ entries. **An id is nothing but the place in this list**, from 0; on
# disk the list is `vocab.txt`, an entry a line.

# %%
entries = """[PAD] [UNK] [CLS] [SEP] [MASK] . the a fast swim swimm like
##ming ##er ##est ##s ##like"""
vocab = {token: number for number, token in enumerate(entries.split())}
assert (len(vocab), vocab["[PAD]"], vocab["swim"]) == (17, 0, 9)

# %% [markdown]
# The rule: take the longest entry that the word starts with; then the longest `##` entry that the
# rest starts with; and so on. Where nothing fits, the *whole* word becomes `[UNK]`, unknown.
#
# On paper, for `swimmers`:
#
# | rest | tried, longest first | taken |
# |---|---|---|
# | swimmers | swimmers, swimmer, swimme, **swimm** | swimm |
# | ers | ##ers, **##er** | ##er |
# | s | **##s** | ##s |
#
# That is 4 + 2 + 1 = 7 lookups. Now a program that counts them.


# %%
def wordpiece(word, vocab):
    """The pieces of a word, and the number of lookups."""
    pieces, lookups, start = [], 0, 0
    while start < len(word):
        for end in range(len(word), start, -1):
            lookups += 1
            piece = ("##" if start else "") + word[start:end]
            if piece in vocab:
                break
        else:  # the loop ended without a break: no entry fits
            return ["[UNK]"], lookups
        pieces.append(piece)
        start = end
    return pieces, lookups


assert wordpiece("swimmers", vocab) == (["swimm", "##er", "##s"], 7)

# %% [markdown]
# **Predict**, with the list above, the tokens of the next five words. The last one is a trap.

# %%
for word in ["fastest", "swimlike", "likes", "slow", "swimming"]:
    print(f"{word:10}", *wordpiece(word, vocab)[0])
assert wordpiece("slow", vocab)[0] == wordpiece("swimming", vocab)[0] == ["[UNK]"]

# %% [markdown]
# `swim ##ming` would spell `swimming`. But *greedy* means the longest first and no way back:
# `swimm` is longer than `swim`, it is taken, and no entry fits the rest, `ing`. A real vocabulary
# holds the common letters with and without `##`, so there it happens only with rare characters.
#
# ## 4. Special tokens, a batch, its mask
#
# Every row starts with `[CLS]`, whose final vector may stand for the whole text, and every text
# ends with `[SEP]`; a pair of texts is one row, `[CLS] first [SEP] second [SEP]`.
#
# A tensor is a rectangle, and texts have different lengths: short rows are filled up with `[PAD]`.
# The attention mask says which tokens are real: 1 for a token, 0 for padding.
#
# **Predict**, for the two texts below, the length of each row and the sum of the mask.


# %%
def encode(text):
    tokens = [piece for word in split(text) for piece in wordpiece(word, vocab)[0]]
    return [vocab[token] for token in ["[CLS]", *tokens, "[SEP]"]]


texts = ["The fastest swimmers swim.", "A swim"]
rows = [encode(text) for text in texts]
S = max(map(len, rows))
input_ids = torch.tensor([r + [0] * (S - len(r)) for r in rows])  # [PAD] is 0
attention_mask = torch.tensor([[1] * len(r) + [0] * (S - len(r)) for r in rows])
print(input_ids, attention_mask, sep="\n")
assert input_ids.shape == (2, 10)
assert attention_mask.sum() == 10 + 4

# %% [markdown]
# ## 5. The same with minidistil
#
# The library has the algorithm [twice](../api/tokenization.md): to be read, in `basic.py` and
# `wordpiece.py`, and fast, in Rust, behind `DistilBertTokenizer`. Both must agree with ours.

# %%
readable = WordPieceTokenizer(vocab, BasicTokenizer())
fast = DistilBertTokenizer(vocab)
for text in [*texts, "a   SWÎM-like\tswim", "Slow... LIKES?!", ""]:
    ids = encode(text)
    print(f"{text!r:30} {ids}")
    assert ids == fast(text).input_ids
    assert ids[1:-1] == readable.encode(text)  # without [CLS] and [SEP]

batch = fast(texts, padding=True, return_tensors="pt")
assert torch.equal(batch.input_ids, input_ids)
assert torch.equal(batch.attention_mask, attention_mask)
print(list(batch))

# %% [markdown]
# ### Why there are no token_type_ids
#
# BERT's tokenizer gives a third row, `token_type_ids`: 0 in the first text, 1 in the second. BERT
# adds a learned vector for each; in its training it guesses whether the second text follows the
# first. DistilBERT is trained without that task, and its authors took the vectors out: `[SEP]`
# alone says where a text ends. A program that passes them all the same gets what it would get
# without. **Predict** the largest difference between the two results below.

# %%
torch.manual_seed(0)
config = DistilBertConfig(vocab_size=17, n_layers=1, n_heads=2, dim=8)
model = DistilBertModel(config).eval()
without = model(**batch).last_hidden_state
types = torch.ones_like(input_ids)
with_types = model(**batch, token_type_ids=types).last_hidden_state
print("largest difference:", (without - with_types).abs().max().item())
assert torch.equal(without, with_types)

# %% [markdown]
# ## 6. Offsets: the way back
#
# Ids forget case, accents and spaces, and `decode` can't bring them back. Whoever wants to
# underline an answer in the user's own text needs *offsets*: where each token starts and ends in
# the original. **Predict** that of `##like` in the text below, which has two spaces in a row.

# %%
text = "A SWÎM-like  swimlike swim"
print(fast.decode(fast(text).input_ids))
tokens = readable.tokenize(text)
for token, number, start, end in tokens:
    print(f"{start:3}:{end:<3} {token:8} {number:3}  {text[start:end]!r}")
quick = fast(text, return_offsets_mapping=True, add_special_tokens=False)
assert quick.offset_mapping == [(token.start, token.end) for token in tokens]

# %% [markdown]
# ## 7. Train a vocabulary
#
# Where does a vocabulary come from? From counting. Spell every word of a corpus in characters; find
# the most frequent pair of neighbours; make it a new entry; repeat until the vocabulary is full.
#
# **Predict.** With room for the characters only, how many tokens is `river`? And given room?

# %%
CORPUS = """The river rises in the mountains and runs to the sea. In winter the
river is slow and the mountains are white. In spring the snow melts, the water
rises, the river runs faster and faster. Children run to the bridge to see the
running water. The faster the water runs, the louder the river sings. Swimmers
swim to the old bridge. Swimming is fun, running home is slower."""
for size in [44, 55, 70, 85]:
    trained = train_vocabulary([CORPUS], size)
    print(f"V = {size}: {len(trained.tokenize(CORPUS))} tokens;", end=" ")
    print(*trained.tokenize("river running zebra"))
    assert len(trained) == size
assert trained.tokenize("zebra") == ["[UNK]"]  # there is no z in the corpus

# %% [markdown]
# A larger vocabulary makes shorter rows and a larger embedding table: DistilBERT takes 30,522.
#
# ## Exercises
#
# 1. On paper: tokens and ids of `A swimmer likes the fastest.` Check with `encode`; the ids sum
#    to 94.
# 2. Add *one* entry to `vocab` such that `wordpiece("swimming", vocab)` has no `[UNK]` any more.
#    There are two short answers; find both.
# 3. `split` and `BasicTokenizer().split` differ on some text in plain ASCII: find one of three
#    characters. (What does `\w` match?) Mend `split`.
# 4. Write `fewest(word, vocab)`, not greedy: of all ways to spell a word the one with the fewest
#    pieces. `assert fewest("swimming", vocab) == ["swim", "##ming"]`
# 5. Padding must not change a result: compare `model(**fast(["A swim"], return_tensors="pt"))`
#    with row 1 of `without`, its four real tokens: `torch.testing.assert_close`. Then leave
#    `attention_mask` out of the batch, and see it fail.
