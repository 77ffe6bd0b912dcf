"""Laws of `programs(N, block)` and `tile(program, N, block)`: every element owned once."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close

HINTS = [
    "5 elements in blocks of 4: program 0 holds 0, 1, 2, 3, and program 1 holds 4, 5, 6, 7.",
    "Rounding up: add block - 1 before the division by block that rounds down.",
    "torch.arange(block) numbers the lanes, alike in each program; add where the program begins.",
]
WRONG = {
    "the end is left out": ("(N + block - 1) // block", "N // block"),
    "one program too many": ("(N + block - 1) // block", "N // block + 1"),
    "the first lane past the end is on": ("offsets < N", "offsets <= N"),
    "the tile is cut at the end": ("return offsets, inside", "return offsets[inside], inside"),
    "the programs overlap": ("program * block + torch", "program + torch"),
    "the elements are dealt out in turn": (
        "program * block + torch.arange(block)",
        "program + torch.arange(block) * programs(N, block)",
    ),
}


@dataclass(frozen=True)
class Case:
    """So many elements, and the lanes of a program."""

    N: int = 5
    block: int = 4


CASES = st.builds(Case, N=st.integers(0, 20), block=st.sampled_from([1, 2, 4, 8]))
HARD = [Case(), Case(8, 4), Case(0, 4)]


def owned_once(answer, case):
    """Every element is owned by one program, and nothing else is owned."""
    owned = []
    for program in range(answer.programs(case.N, case.block)):
        offsets, inside = answer.tile(program, case.N, case.block)
        owned += offsets[inside].tolist()
    assert sorted(owned) == list(range(case.N)), f"the programs own {sorted(owned)}"


def fewest(answer, case):
    """There are no more programs than it takes."""
    got, want = answer.programs(case.N, case.block), len(range(0, case.N, case.block))
    assert got == want, f"{got} programs, wanted are {want}"


def all_lanes(answer, case):
    """A tile has all its lanes, and neighbouring lanes hold neighbours."""
    for program in range(len(range(0, case.N, case.block))):
        offsets, inside = answer.tile(program, case.N, case.block)
        first = int(offsets[0])
        assert_close(offsets, torch.arange(first, first + case.block))
        assert_close(inside, torch.arange(first, first + case.block) < case.N)


LAWS = [Law(owned_once, CASES, HARD), Law(fewest, CASES, HARD), Law(all_lanes, CASES, HARD)]
