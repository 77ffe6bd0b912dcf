"""Laws of `attend(query, key, value, key_mask)`: any pattern of keys, none of them included."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal
from minidistil.ops.attention import eager

HINTS = [
    "The scores are (B, H, S, S) with the keys last: key_mask[:, None, None, :] fits them.",
    "With -inf in every place softmax is NaN. torch.finfo(scores.dtype).min is finite.",
    "A row of nothing but that number becomes 1/S everywhere: fill the masked weights with 0, too.",
]
WRONG = {
    "the mask is forgotten": ("mask = key_mask[", "mask = torch.ones_like(key_mask)["),
    "the mask is turned round": ("mask = key_mask[", "mask = ~key_mask["),
    "the queries are masked": ("key_mask[:, None, None, :]", "key_mask[:, None, :, None]"),
    "all texts get the first one's mask": ("key_mask[:, None, None, :]", "key_mask[0]"),
    "a text without keys is NaN": (
        "torch.finfo(scores.dtype).min)\n    weights = scores.softmax(-1).masked_fill(~mask, 0.0)",
        "-torch.inf)\n    weights = scores.softmax(-1)",
    ),
    "a text without keys reads padding": (".masked_fill(~mask, 0.0)", ""),
    "the gradient of a text without keys is NaN": (
        "scores.masked_fill(~mask, torch.finfo(scores.dtype).min)",
        "scores + mask.log()",
    ),
    "what padding would have had is lost": (
        "scores.masked_fill(~mask, torch.finfo(scores.dtype).min)",
        "scores",
    ),
}


@dataclass(frozen=True)
class Case:
    """A row of `mask` for each text, 1 for a key that counts; normal queries, keys and values."""

    mask: tuple[tuple[int, ...], ...] = ((1, 0),)
    heads: int = 1
    width: int = 2
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def inputs(self):
        key_mask = torch.tensor(self.mask).bool()
        shape = (3, len(self.mask), self.heads, len(self.mask[0]), self.width)
        return *normal(self.seed, shape, self.dtype).unbind(), key_mask

    def explain(self, place):
        """Where the weight that is wanted at a place comes from."""
        query, key, _, key_mask = self.inputs()
        text, head, row, column = place
        scores = (query @ key.mT)[text, head, row] * self.width**-0.5
        mask, of_query = key_mask[text].int().tolist(), [round(x, 4) for x in scores.tolist()]
        if not any(mask):
            return f"text {text} has no key, so all its weights are 0"
        if not mask[column]:
            return f"key {column} of text {text} is masked: m = {mask}"
        kept = f"{mask[column]} exp({of_query[column]}) / the sum of m exp(scores)"
        return f"text {text} has m = {mask}, query {row} the scores {of_query}, and it is {kept}"


def masks(length):
    """Of one to three texts of this length, each with a key."""
    row = st.lists(st.sampled_from([1, 0]), min_size=length, max_size=length).map(tuple)
    return st.lists(row.filter(any), min_size=1, max_size=3).map(tuple)


def without_keys(mask):
    """The first text has none."""
    return ((0,) * len(mask[0]), *mask[1:])


def cases(mask):
    """Cases with these masks."""
    return st.builds(
        Case,
        mask=mask,
        heads=st.integers(1, 2),
        width=st.integers(1, 4),
        dtype=st.sampled_from([torch.float32, torch.float64]),
        seed=st.integers(0, 99),
    )


MASKS = st.integers(1, 4).flatmap(masks)
CASES, HARD = cases(MASKS), [Case(), Case(((1, 1, 0), (0, 1, 0)), heads=2)]
EMPTY = cases(MASKS.map(without_keys))
EMPTY_HARD = [Case(((0, 0),)), Case(((1, 1, 0), (0, 0, 0), (0, 1, 0)), heads=2)]


def equals(answer, case):
    """A weight is m_j exp(score_ij) over the sum of those of its row; the context follows."""
    query, key, value, key_mask = case.inputs()
    context, weights = answer.attend(query, key, value, key_mask)
    want = eager(query, key, value, key_mask[:, None, None], need_weights=True)
    assert_close(weights, want[1], explain=case.explain)
    assert_close(context, want[0])


def exactly_zero(answer, case):
    """A masked key has a weight of exactly 0."""
    query, key, value, key_mask = case.inputs()
    _, weights = answer.attend(query, key, value, key_mask)
    largest = (weights * ~key_mask[:, None, None]).abs().max()
    assert largest == 0, f"the largest weight of a masked key is {largest:.6g}"


def unseen(answer, case):
    """A thousand times larger numbers in the masked keys and values change nothing."""
    query, key, value, key_mask = case.inputs()
    factor = torch.where(key_mask, 1, 1000)[:, None, :, None]
    got, _ = answer.attend(query, key * factor, value * factor, key_mask)
    assert_close(got, eager(query, key, value, key_mask[:, None, None])[0])


def gradients(answer, case):
    """The gradients of query, key and value are those of eager attention, never NaN."""
    *inputs, key_mask = case.inputs()
    inputs = [x.clone().requires_grad_() for x in inputs]
    upstream = normal(case.seed + 1000, tuple(inputs[0].shape), case.dtype)
    got, _ = answer.attend(*inputs, key_mask)
    want, _ = eager(*inputs, key_mask[:, None, None])
    pairs = zip(
        torch.autograd.grad(got, inputs, upstream),
        torch.autograd.grad(want, inputs, upstream),
        strict=True,
    )
    for ours, theirs in pairs:
        assert_close(ours, theirs)


def empty(answer, case):
    """A text without any key has weights, a context and gradients of 0, never NaN."""
    equals(answer, case)
    gradients(answer, case)


LAWS = [
    Law(equals, CASES, HARD),
    Law(exactly_zero, CASES, HARD),
    Law(unseen, CASES, HARD),
    Law(gradients, CASES, HARD),
    Law(empty, EMPTY, EMPTY_HARD),
]
