"""Laws of `prune(q, k, v, out, n_heads, heads)`: smaller weights, the output of silenced heads."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal
from minidistil.ops.attention import eager

HINTS = [
    "A layer computes hidden @ q.T: row i of q makes place i of the query. And out reads contexts.",
    "Place i belongs to head i // K. Which places are left when some heads go?",
    "With `kept` the list of those places: q[kept] takes rows, out[:, kept] takes columns.",
]
WRONG = {
    "out loses rows": ("out[:, kept]", "out[kept]"),
    "out stays whole": ("out[:, kept]", "out"),
    "the others are removed": ("not in heads", "in heads"),
    "heads take turns": ("i // width", "i % n_heads"),
    "a head is as wide as there are heads": ("i // width", "i // n_heads"),
    "the values come in another order": ("v[kept]", "v[kept[::-1]]"),
}


@dataclass(frozen=True)
class Case:
    """Normal weights of a layer of `n_heads` heads of this width; `heads` are to go."""

    n_heads: int = 2
    heads: tuple[int, ...] = (0,)
    width: int = 2
    seed: int = 0

    def weights(self):
        dim = self.n_heads * self.width
        return normal(self.seed, (4, dim, dim), torch.float64).unbind()

    def pruned(self, answer):
        return answer.prune(*self.weights(), self.n_heads, set(self.heads))

    def hidden(self):
        return normal(self.seed + 1000, (2, 3, self.n_heads * self.width), torch.float64)


def some_heads(n_heads):
    """Layers of so many heads, of which at least one stays."""
    return st.builds(
        Case,
        n_heads=st.just(n_heads),
        heads=st.sets(st.integers(0, n_heads - 1), max_size=n_heads - 1).map(
            lambda heads: tuple(sorted(heads))
        ),
        width=st.integers(1, 3),
        seed=st.integers(0, 99),
    )


CASES = st.integers(1, 4).flatmap(some_heads)
HARD = [Case(), Case(2, (1,), width=3), Case(4, (0, 2), width=3)]


def layer(hidden, weights, head_mask):
    """Attention with a head mask: (B, S, D) -> (B, S, D)."""
    *projections, out = weights
    query, key, value = (
        F.linear(hidden, weight).unflatten(-1, (len(head_mask), -1)).transpose(1, 2)
        for weight in projections
    )
    context = eager(query, key, value)[0] * head_mask[:, None, None]
    return F.linear(context.transpose(1, 2).flatten(-2), out)


def shapes(answer, case):
    """q, k and v lose K rows with each head, out loses K columns."""
    dim = case.n_heads * case.width
    left = dim - len(case.heads) * case.width
    got = [tuple(weight.shape) for weight in case.pruned(answer)]
    want = [(left, dim)] * 3 + [(dim, left)]
    assert got == want, f"the shapes of q, k, v and out are {got}, wanted are {want}"


def same_output(answer, case):
    """The smaller layer gives what the whole one gives with those heads multiplied by 0."""
    numbers = [float(head not in case.heads) for head in range(case.n_heads)]
    head_mask = torch.tensor(numbers, dtype=torch.float64)
    left = torch.ones(case.n_heads - len(case.heads), dtype=torch.float64)
    got = layer(case.hidden(), case.pruned(answer), left)
    assert_close(got, layer(case.hidden(), case.weights(), head_mask))


LAWS = [Law(shapes, CASES, HARD), Law(same_output, CASES, HARD)]
