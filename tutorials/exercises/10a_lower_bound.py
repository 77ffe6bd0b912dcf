"""Laws of `fused`, `in_three`, `padded` and `packed`: bytes, counted in tensors."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law

HINTS = [
    "Write down each operation with what it reads -> what it writes, and add up both sides.",
    "In three: q, k, v and the context as before, and on top of them the scores are written and "
    "read, and so are the weights.",
    "padded: as many texts as there are, each of the longest length. packed: a sum over the texts.",
]
WRONG = {
    "the context is not counted": ("return 4 * H * S * K * e", "return 3 * H * S * K * e"),
    "scores and weights are only written": ("4 * H * S * S * e", "2 * H * S * S * e"),
    "softmax happens in place, for nothing": ("4 * H * S * S * e", "3 * H * S * S * e"),
    "one matrix of weights for all heads": ("4 * H * S * S * e", "4 * S * S * e"),
    "filled up to the mean": (
        "longest = max(lengths, default=0)",
        "longest = sum(lengths) // max(len(lengths), 1)",
    ),
    "packed as one long text": (
        "sum(of_text(S, H, K, e) for S in lengths)",
        "of_text(sum(lengths), H, K, e)",
    ),
    "a batch of no texts is an error": ("max(lengths, default=0)", "max(lengths)"),
}


@dataclass(frozen=True)
class Case:
    """The lengths of the texts of a batch, its heads and their width, bytes a number."""

    lengths: tuple[int, ...] = (1, 3)
    H: int = 2
    K: int = 4
    e: int = 4


CASES = st.builds(
    Case,
    lengths=st.lists(st.integers(1, 6), max_size=4).map(tuple),
    H=st.integers(1, 3),
    K=st.integers(1, 5),
    e=st.sampled_from([2, 4]),
)
HARD = [Case(), Case(()), Case((2, 2)), Case((1, 5), H=3, e=2)]


def count(S, case, separate):
    """The bytes of one text, from tensors of its shapes: what each operation reads and writes."""
    dtype = {2: torch.float16, 4: torch.float32}[case.e]
    q, k, v, context = torch.zeros(4, case.H, S, case.K, dtype=dtype)
    scores, weights = torch.zeros(2, case.H, S, S, dtype=dtype)
    operations = [(q, k, v, context)]
    if separate:
        operations = [(q, k, scores), (scores, weights), (weights, v, context)]
    return sum(x.nbytes for tensors in operations for x in tensors)


def one_text(answer, case):
    """One text moves its inputs and context, and in three operations what lies between, too."""
    for S in case.lengths:
        for function, separate in ((answer.fused, False), (answer.in_three, True)):
            got, want = function(S, case.H, case.K, case.e), count(S, case, separate)
            assert got == want, f"{got} bytes for S={S}, {want} with separate={separate}"


def batches(answer, case):
    """A padded batch moves the longest text as often as it has texts, a packed one each its own."""
    longest = max(case.lengths, default=0)
    for separate in (False, True):

        def of_text(S, H, K, e, separate=separate):
            assert (H, K, e) == (case.H, case.K, case.e), "H, K and e are handed on as they are"
            return count(S, case, separate)

        for function, lengths in (
            (answer.padded, [longest for _ in case.lengths]),
            (answer.packed, case.lengths),
        ):
            want = sum(count(S, case, separate) for S in lengths)
            got = function(of_text, case.lengths, case.H, case.K, case.e)
            assert got == want, f"{got} bytes, wanted are {want}, with separate={separate}"


LAWS = [Law(one_text, CASES, HARD), Law(batches, CASES, HARD)]
