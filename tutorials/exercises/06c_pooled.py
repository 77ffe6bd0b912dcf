"""Laws of `text_vectors(hidden, attention_mask)` and `packed_text_vectors(hidden, cu_seqlens)`."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal

HINTS = [
    "attention_mask[..., None] is (B, S, 1): times hidden it takes padding out of the sum.",
    "Divide by the number of tokens, but at least by 1: clamp(min=1), or max(n, 1).",
    "F.normalize(mean, dim=-1) leaves 0 where the length is 0; mean / mean.norm() gives NaN.",
]
WRONG = {
    "padding is taken in": ("(hidden * mask)", "hidden"),
    "a text without tokens is NaN": (".clamp(min=1)", ""),
    "the mean does not have length 1": ("F.normalize(mean, dim=-1)", "mean"),
    "the length of 0 is divided by": (
        "F.normalize(mean, dim=-1)",
        "mean / mean.norm(dim=-1, keepdim=True)",
    ),
    "columns have length 1": ("F.normalize(mean, dim=-1)", "F.normalize(mean, dim=0)"),
    "every token is brought to length 1 first": (
        "(hidden * mask)",
        "(F.normalize(hidden, dim=-1) * mask)",
    ),
    "packed: a text without tokens is NaN": ("max(len(text), 1)", "len(text)"),
    "packed: the last text is left out": ("cu_seqlens.tolist()", "cu_seqlens[:-1].tolist()"),
    "packed: the first token is left out": ("hidden[first:end]", "hidden[first + 1 : end]"),
    "packed: the mean does not have length 1": ("F.normalize(means, dim=-1)", "means"),
}


@dataclass(frozen=True)
class Case:
    """A row of `mask` for each text, 1 for a token; normal vectors, those of padding, too."""

    mask: tuple[tuple[int, ...], ...] = ((1, 0),)
    width: int = 2
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def inputs(self):
        shape = (len(self.mask), len(self.mask[0]), self.width)
        return normal(self.seed, shape, self.dtype), torch.tensor(self.mask)

    def want(self):
        """A text at a time."""
        vectors = []
        for hidden, mask in zip(*self.inputs(), strict=True):
            tokens = hidden[mask == 1]
            mean = tokens.mean(0) if len(tokens) else torch.zeros(self.width, dtype=self.dtype)
            vectors.append(mean / mean.norm() if len(tokens) else mean)
        return torch.stack(vectors)


def masks(length):
    """Of one to three texts of this length."""
    row = st.lists(st.sampled_from([1, 0]), min_size=length, max_size=length).map(tuple)
    return st.lists(row, min_size=1, max_size=3).map(tuple)


CASES = st.builds(
    Case,
    mask=st.integers(1, 4).flatmap(masks),
    width=st.integers(2, 4),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
HARD = [Case(), Case(((0, 0),)), Case(((1, 1, 0), (0, 0, 0), (0, 1, 1)), width=3)]


def padded(answer, case):
    """Each text of a padded batch has the mean of its tokens at length 1, or zeros."""
    assert_close(answer.text_vectors(*case.inputs()), case.want())


def packed(answer, case):
    """Each text of a packed batch has the mean of its tokens at length 1, or zeros."""
    hidden, mask = case.inputs()
    lengths = mask.sum(1)
    cu_seqlens = torch.cat((lengths.new_zeros(1), lengths.cumsum(0))).int()
    assert_close(answer.packed_text_vectors(hidden[mask == 1], cu_seqlens), case.want())


LAWS = [Law(padded, CASES, HARD), Law(packed, CASES, HARD)]
