"""Texts of one length together.

A batch is filled up to its longest text, and the model computes the fill like text. Ten texts of 5
tokens beside one of 500 cost 5,500 tokens instead of 550. So sort first, cut then, and put the
results back where their texts were: the caller must not see any of it.

`micro_batches` takes the lengths and gives the batches, as lists of places among the texts:

    short texts first: none in a batch is longer than one in the next
    the number of texts * the longest of them is at most `most`: padding is included
    no batch is closed while the next text, by length, would have fitted
    a text longer than `most` is a batch of its own: it is not left out

`in_batches` runs a function on these batches. fn takes a list of texts and returns a list with as
many results. The result is a list in the order of the texts; of no texts it is [].

A text is a list of token ids, of at least one.
Source: minidistil/pipelines/base.py, which cuts after so many rows, not tokens.
"""

from collections.abc import Callable, Sequence
from typing import Any


def micro_batches(lengths: Sequence[int], most: int) -> list[list[int]]:
    """The places of the texts, batch by batch."""
    # answer
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        # The text that is added last is the longest.
        if batches and (len(batches[-1]) + 1) * lengths[place] <= most:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
    # end


def in_batches(
    texts: Sequence[list[int]], fn: Callable[[list[list[int]]], list[Any]], most: int
) -> list[Any]:
    """fn's results of all texts, in their order, from batches of at most `most` tokens."""
    # answer
    results = {}
    for batch in micro_batches([len(text) for text in texts], most):
        found = fn([texts[place] for place in batch])
        results.update(zip(batch, found, strict=True))
    return [results[place] for place in range(len(texts))]
    # end
