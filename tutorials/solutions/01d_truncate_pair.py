"""A pair of texts, cut to fit.

A model has a longest row: DistilBERT takes 512 tokens. A pair is one row,

    [CLS] first [SEP] second [SEP]

and where it is too long, tokens are taken off the end, one at a time, from the text that is longer
at that moment. Where both are of one length the second loses its last token, as in BERT's own code.
(The `tokenizers` library leaves the odd token to the text that was longer at first.)

The three special tokens need room, too. The lists that are given must not be changed: the caller
may still want the whole text.

Arguments: first and second, lists of ids, either may be empty; limit, the longest row.
The result is what is left of the two. ValueError where limit is less than 3.
Source: Devlin et al. 2018, arXiv 1810.04805, appendix A.2 and its code.
"""


def truncate_pair(first: list[int], second: list[int], limit: int) -> tuple[list[int], list[int]]:
    """Shorten a pair so that its row, special tokens included, has `limit` tokens at most."""
    # answer
    room = limit - 3
    if room < 0:
        raise ValueError(f"limit={limit} leaves no room for three special tokens")
    a, b = len(first), len(second)
    while a + b > room:
        if a > b:
            a -= 1
        else:
            b -= 1
    return first[:a], second[:b]
    # end
