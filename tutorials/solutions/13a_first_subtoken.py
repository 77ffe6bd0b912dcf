"""Labels of words as labels of tokens.

A tagger learns one label a word, but the model answers once a token, and a word may be several. The
first token of a word gets the word's label. All others get -100, which the loss leaves out: the
further tokens of a word, [CLS], [SEP] and padding. So a long word does not count more than a short
one.

word_ids says for each token the number of its word, None for special tokens and padding. Take the
label by that number. Words are numbered from 0, and 0 is a word like any other; neighbours may have
the same label; a number may be left out, because a word of control characters has no token. The
tokens of a word stand together, and the numbers rise.

Arguments: word_labels, a list of int; word_ids, a list of int or None. The result is a list of int,
as long as word_ids.
Source: Devlin et al. 2018, arXiv 1810.04805, section 5.3; minidistil/training/examples.py.
"""


def token_labels(word_labels: list[int], word_ids: list[int | None]) -> list[int]:
    """Give each token its label, or -100."""
    labels: list[int] = []
    before = None
    # answer
    for word in word_ids:
        first = word is not None and word != before
        labels.append(word_labels[word] if first else -100)
        before = word
    # end
    return labels
