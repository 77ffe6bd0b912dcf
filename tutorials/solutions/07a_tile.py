"""Which elements a program owns.

A kernel is one text that many programs run side by side. The number of a program is all that tells
it from the others. Of N elements, lane i of program p holds element

    p * BLOCK + i

so that neighbouring lanes hold neighbours in memory, which a GPU loads together. Where N is no
multiple of BLOCK, the last program has lanes past the end. They do not go away: a tile always has
all its lanes, and a mask turns some of them off. An element that no program owns is never computed,
and one that two programs own is a race.

`programs` says how many programs it takes, and no more than that; `tile` what one of them holds.

Shapes: offsets (BLOCK,), int64, and inside (BLOCK,), boolean, True where the offset is an element.
N may be 0: that takes no program.
Source: Triton's tutorial on vector addition; the tutorial 07 of this course, section 2.
"""

import torch


def programs(N: int, block: int) -> int:
    """How many programs of `block` lanes own N elements."""
    # answer
    return (N + block - 1) // block
    # end


def tile(program: int, N: int, block: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The offsets that the lanes of a program hold, and which of them are inside."""
    # answer
    offsets = program * block + torch.arange(block)
    inside = offsets < N
    return offsets, inside
    # end
