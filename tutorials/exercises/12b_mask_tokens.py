"""Laws of `choose` and `hide`: how many, which, and what becomes of them."""

import math
from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close

HINTS = [
    "counts[ids] has the count of each place; the weight of what may not be chosen is 0.",
    "torch.multinomial draws places by weight, without repeating one; n is how many are not 0.",
    "One random number a place: below 0.8 it is hidden, from 0.9 on it stays, else it is any id.",
]
WRONG = {
    "padding is chosen": ("~real | torch.isin(ids, special)", "torch.isin(ids, special)"),
    "special tokens are chosen": ("~real | torch.isin(ids, special)", "~real"),
    "rounded down": ("math.ceil(", "math.floor("),
    "a token without a count has an infinite weight": (".clamp(min=1)", ""),
    "all tokens have the same weight": ("** -0.7", "** 0.0"),
    "the power is -1": ("** -0.7", "** -1.0"),
    "the places are not drawn from the generator": (
        "number, generator=generator",
        "number",
    ),
    "every place has a label": ("labels[places] = original", "labels.copy_(masked)"),
    "the label is what stands there now": ("labels[places] = original", "labels[places] = mask_id"),
    "all are [MASK]": ("fate < 0.8, mask_id", "fate < 1.0, mask_id"),
    "none stays": ("fate < 0.9, other", "fate < 1.0, other"),
    "none is another": ("fate < 0.9, other", "fate < 0.0, other"),
    "the fates are not drawn from the generator": (
        "torch.rand(len(places), generator=generator)",
        "torch.rand(len(places))",
    ),
}
SPECIAL, MASK = torch.tensor([0, 1, 2, 3]), 3
COUNTS = torch.tensor([50, 9, 9, 0, 0, 1, 3, 10, 30, 100])  # of ids 0 to 9


@dataclass(frozen=True)
class Case:
    """Rows of ids, of which 0 to 3 are special; the last places of each row are padding."""

    rows: tuple[tuple[int, ...], ...] = ((1, 5, 7, 2),)
    padding: int = 0
    seed: int = 0

    def inputs(self):
        ids = torch.tensor(self.rows)
        real = torch.arange(ids.shape[1]) < ids.shape[1] - self.padding
        return ids, real.expand(ids.shape)


@dataclass(frozen=True)
class Seed:
    """The seed of many draws."""

    seed: int = 0


CASES = st.builds(
    Case,
    rows=st.integers(1, 8).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(0, 9), min_size=n, max_size=n).map(tuple), min_size=1, max_size=3
        ).map(tuple)
    ),
    padding=st.integers(0, 3),
    seed=st.integers(0, 99),
)
ONE, SEEDS = (1,) * 7, st.builds(Seed, seed=st.integers(0, 99))
HARD = [
    Case(),
    Case(((5, *ONE),)),
    Case(((5, 6, 6, 6, 6, 6, 6, 6),), padding=7),
    Case(((4, 4, 5, 4),)),
    Case((ONE,)),
    Case(((5, 6, 7, 8), (6, 7, 8, 9), (9, 8, 7, 6))),
]


def number_and_kind(answer, case):
    """So many places are chosen, none of them twice, special or padding."""
    ids, real = case.inputs()
    special = SPECIAL.tolist()
    tokens = zip(ids.flatten().tolist(), real.flatten().tolist(), strict=True)
    allowed = [place for place, (i, is_real) in enumerate(tokens) if is_real and i not in special]
    got = answer.choose(ids, real, SPECIAL, COUNTS, generator(case.seed)).tolist()
    want = math.ceil(0.15 * len(allowed))
    assert len(set(got)) == len(got), f"a place is chosen twice: {got}"
    assert set(got) <= set(allowed), f"places {got} are chosen; those that may be are {allowed}"
    assert len(got) == want, f"{len(got)} places are chosen, wanted are {want}"


def rare_words(answer, case):
    """Weights go with the power -0.7 of the count, and the same seed chooses the same places."""
    # 10,000 words that occur once, as many that occur ten times, no place drawn twice: of 3,000
    # chosen places 546 are the latter, give or take 20.
    ids = torch.tensor([[5] * 10_000, [7] * 10_000])
    real = torch.ones_like(ids, dtype=torch.bool)
    got, again = (answer.choose(ids, real, SPECIAL, COUNTS, generator(case.seed)) for _ in range(2))
    assert torch.equal(got, again), "the same seed chooses other places"
    frequent = int((got >= 10_000).sum())
    assert 440 < frequent < 650, (
        f"of 20,000 words, half of which occur ten times as often, {len(got)} are chosen: "
        f"{frequent} are the frequent ones, wanted are about 546"
    )


def labels_and_ids(answer, case):
    """Labels are the ids that stood there, elsewhere -100 and the ids as they were."""
    ids, _ = case.inputs()
    before, places = ids.clone(), torch.arange(1, ids.numel())
    masked, labels = answer.hide(ids, places, MASK, len(COUNTS), generator(case.seed))
    want = torch.full_like(before, -100).flatten()
    want[places] = before.flatten()[places]
    assert_close(labels, want.view(before.shape))
    assert torch.equal(ids, before), "the ids that were handed over have changed"
    assert_close(masked.flatten()[:1], before.flatten()[:1])
    assert_close(masked.clamp(0, len(COUNTS) - 1), masked)


def shares(answer, case):
    """80 % become [MASK], 10 % any id, 10 % stay, and the same seed does the same."""
    ids, places = torch.full((4, 1000), 7), torch.arange(4000)
    (masked, _), (again, _) = (
        answer.hide(ids, places, MASK, 1000, generator(case.seed)) for _ in range(2)
    )
    assert torch.equal(masked, again), "the same seed does something else"
    hidden, stays = (masked == MASK).double().mean(), (masked == 7).double().mean()
    for what, got, want in (
        ("become [MASK]", hidden, 0.8),
        ("stay", stays, 0.1),
        ("become another", 1 - hidden - stays, 0.1),
    ):
        assert abs(got - want) < 0.035, f"{got:.1%} of 4,000 {what}, wanted are {want:.0%}"
    others = masked[(masked != MASK) & (masked != 7)]
    assert len(others.unique()) > len(others) / 2, "only a few ids take the place of others"


def generator(seed):
    return torch.Generator().manual_seed(seed)


LAWS = [
    Law(number_and_kind, CASES, HARD),
    Law(rare_words, SEEDS, [Seed()]),
    Law(labels_and_ids, CASES, HARD),
    Law(shares, SEEDS, [Seed()]),
]
