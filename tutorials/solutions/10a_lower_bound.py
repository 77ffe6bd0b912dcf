"""The bytes that attention must move.

A kernel is never faster than its traffic. For one text of S tokens and H heads of width K, with e
bytes a number, query, key, value and context are H * S * K * e bytes each. No way to compute the
context moves less than three of them in and one out: that is the lower bound.

In three operations it is more, because each reads its inputs from memory and writes its result:

    scores = query key^T        weights = softmax(scores)        context = weights value

Scores and weights have S * S numbers a head: the term that grows with S squared.

A padded batch fills every text up to the longest, and pays for the fill as for text. A packed one
pays for each text what it is worth alone. `of_text` is one of the first two functions.

All sizes are ints, and so are the results, in bytes. A batch of no texts moves nothing.
Source: Dao et al. 2022, arXiv 2205.14135, section 3.2; kernels/README.md, "Bytes"; the tutorials 08
and 10 of this course, section 1.
"""

from collections.abc import Callable, Sequence


def fused(S: int, H: int, K: int, e: int) -> int:
    """The least for one text: its inputs once, its context once."""
    # answer
    return 4 * H * S * K * e
    # end


def in_three(S: int, H: int, K: int, e: int) -> int:
    """The least for one text in three operations, which store scores and weights."""
    # answer
    return fused(S, H, K, e) + 4 * H * S * S * e
    # end


def padded(of_text: Callable[..., int], lengths: Sequence[int], H: int, K: int, e: int) -> int:
    """A batch whose texts are filled up to the longest."""
    # answer
    longest = max(lengths, default=0)
    return len(lengths) * of_text(longest, H, K, e)
    # end


def packed(of_text: Callable[..., int], lengths: Sequence[int], H: int, K: int, e: int) -> int:
    """A batch without fill."""
    # answer
    return sum(of_text(S, H, K, e) for S in lengths)
    # end
