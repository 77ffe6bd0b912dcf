"""Masking: how many, which, what instead, and the same again from the same seed."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minidistil.distillation.batches import pack, pad
from minidistil.distillation.masking import Masking, step_generator

V, CLS, SEP, PAD, MASK = 50, 1, 2, 0, 4
SPECIAL = (CLS, SEP, PAD, MASK)
COUNTS = np.arange(V) ** 3
bodies = st.lists(st.integers(0, V - 1), min_size=1, max_size=40)
rows_of_ids = bodies.map(lambda ids: np.array([CLS, *ids, SEP]))
sequences = st.lists(rows_of_ids, min_size=1, max_size=6)


def test_the_worked_example():
    """Ten tokens, [CLS] and [SEP] among them: ceil(0.15 * 10) = 2 are chosen, of the other 8."""
    batch = pack([np.array([CLS, 10, 11, 12, SEP]), np.array([CLS, 13, 14, 15, SEP])])
    masked = Masking(COUNTS, MASK, SPECIAL, mask=1, keep=0, random=0)(batch, step_generator(0, 0))
    chosen = masked["labels"] != -100
    assert chosen.sum() == 2
    assert (masked["input_ids"][chosen] == MASK).all()
    assert (masked["input_ids"][~chosen] == batch["input_ids"][~chosen]).all()
    assert (masked["labels"][chosen] == batch["input_ids"][chosen]).all()
    assert masked["cu_seqlens"] is batch["cu_seqlens"] and masked["max_seqlen"] == 5


@given(sequences, st.floats(0.01, 1), st.booleans(), st.integers(0, 100))
def test_laws(rows, proportion, packed, seed):
    batch = pack(rows) if packed else pad(rows, PAD)
    before = {name: torch.as_tensor(value).clone() for name, value in batch.items()}
    masked = Masking(COUNTS, MASK, SPECIAL, proportion=proportion)(batch, step_generator(seed, 3))
    assert all(torch.equal(torch.as_tensor(batch[name]), before[name]) for name in before)
    ids, labels = batch["input_ids"], masked["labels"]
    assert labels.shape == masked["input_ids"].shape == ids.shape
    assert labels.dtype == masked["input_ids"].dtype == torch.int64
    may = ~torch.isin(ids, torch.tensor(SPECIAL))
    total = sum(map(len, rows))
    chosen = labels != -100
    assert chosen.sum() == min(math.ceil(proportion * total), int(may.sum()))
    assert not (chosen & ~may).any()
    assert (labels[chosen] == ids[chosen]).all()
    assert (masked["input_ids"][~chosen] == ids[~chosen]).all()


@given(sequences, st.integers(0, 10))
def test_packed_and_padded_batches_are_masked_alike(rows, seed):
    mask = Masking(COUNTS, MASK, SPECIAL)
    packed, padded = (mask(b, step_generator(seed, 0)) for b in (pack(rows), pad(rows, PAD)))
    real = padded["attention_mask"] != 0
    for name in ("input_ids", "labels"):
        assert torch.equal(packed[name], padded[name][real])


def test_a_real_token_with_the_id_of_padding_counts_and_is_not_chosen():
    rows = [np.array([CLS, PAD, PAD, PAD, 9, SEP])]
    for batch in (pack(rows), pad(rows, 7)):
        masked = Masking(COUNTS, MASK, SPECIAL, proportion=0.5)(batch, step_generator(0, 0))
        assert (masked["labels"] != -100).sum() == 1  # of the 3 there should be


def test_what_is_masked_out_is_never_chosen():
    """Whatever id stands there: some tokenizers have no padding token of their own."""
    batch = {
        "input_ids": torch.full((2, 50), 9),
        "attention_mask": (torch.arange(100).view(2, 50) % 5 == 0).float(),
    }
    masked = Masking(COUNTS, MASK, SPECIAL, proportion=1)(batch, step_generator(0, 0))
    assert torch.equal(masked["labels"] != -100, batch["attention_mask"] != 0)


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.5, 0.4, 0.1), (0.0, 0.0, 1.0)])
def test_what_becomes_of_the_chosen(shares):
    """100,000 chosen tokens: shares within 5 standard deviations."""
    n = 100_000
    ids = torch.full((n,), 9)
    mask, keep, random = shares
    masking = Masking(COUNTS, MASK, SPECIAL, proportion=1, mask=mask, keep=keep, random=random)
    new = masking({"input_ids": ids}, step_generator(1, 2))["input_ids"]
    drawn = new[(new != MASK) & (new != 9)]
    # A random token is [MASK] or the old one once in V times each.
    for share, expected in (
        ((new == MASK).sum() / n, mask + random / V),
        ((new == 9).sum() / n, keep + random / V),
        (len(drawn) / n, random * (V - 2) / V),
    ):
        assert abs(float(share) - expected) < 5 * math.sqrt(expected * (1 - expected) / n)
    # Random tokens are of the whole vocabulary, special ones too, all alike.
    counts = torch.bincount(drawn, minlength=V).double()
    counts = counts[[i for i in range(V) if i not in (MASK, 9)]]
    expected = len(drawn) / len(counts)
    assert (counts - expected).abs().max() < 5 * math.sqrt(expected)


@pytest.mark.parametrize("smoothing", [0.7, 0.0, 1.0])
def test_rare_tokens_are_chosen_more_often(smoothing):
    """One token is chosen of two, with counts 8 and 0: the rare one with p = w / (1 + w).

    w = 8**0.7 is about 4.3, so p is 0.81; a count of 0 weighs as one of 1.
    """
    counts = np.zeros(V)
    counts[10], counts[11] = 8, 0
    mask = Masking(counts, MASK, SPECIAL, proportion=0.25, smoothing=smoothing)
    batch = pack([np.array([CLS, 10, 11, SEP])])
    times = 4000
    rare = sum(int(mask(batch, step_generator(7, s))["labels"][2] != -100) for s in range(times))
    p = 8**smoothing / (1 + 8**smoothing)
    assert abs(rare / times - p) < 5 * math.sqrt(p * (1 - p) / times)


def test_reproducible_by_seed_step_and_rank():
    batch = pack([np.arange(5, V)] * 10)
    mask = Masking(COUNTS, MASK, SPECIAL)

    def masked(*key):
        result = mask(batch, step_generator(*key))
        return (*result["input_ids"].tolist(), *result["labels"].tolist())

    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0), (0, 0, 2)]
    assert len({masked(*key) for key in keys}) == len(keys)
    assert masked(3, 2, 1) == masked(3, 2, 1)
    assert masked(3, 2) == masked(3, 2, 0)


def test_recorded_numbers():
    """A run that is resumed must draw the same: whoever changes the numbers breaks it."""
    drawn = torch.rand(2, generator=step_generator(1, 2, 3)).tolist()
    assert drawn == pytest.approx([0.9595320820808411, 0.6907291412353516])


def test_nothing_to_choose():
    batch = pack([np.array([CLS, SEP])])
    masked = Masking(COUNTS, MASK, SPECIAL)(batch, step_generator(0, 0))
    assert (masked["labels"] == -100).all()
    assert torch.equal(masked["input_ids"], batch["input_ids"])


def test_views_of_a_larger_tensor():
    """A transposed batch: positions must not be mixed up."""
    ids = torch.arange(5, 45).view(8, 5).T
    mask = torch.ones(8, 5).T
    assert not ids.is_contiguous()
    masked = Masking(COUNTS, MASK, SPECIAL, proportion=0.5, mask=1, keep=0, random=0)(
        {"input_ids": ids, "attention_mask": mask}, step_generator(0, 0)
    )
    chosen = masked["labels"] != -100
    assert chosen.sum() == 20 and (masked["labels"][chosen] == ids[chosen]).all()
    assert torch.equal(masked["input_ids"], torch.where(chosen, MASK, ids))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"proportion": 0}, "proportion=0 is no share"),
        ({"proportion": 15}, "proportion=15 is no share"),
        ({"mask": 0.9}, "mask=0.9, keep=0.1 and random=0.1 are no shares of 1"),
        ({"mask": 1.1, "keep": -0.2}, "are no shares of 1"),
        ({"special_ids": [V]}, rf"special ids \[4, {V}\] are not all among {V} counts"),
        ({"mask_id": -1}, r"special ids \[-1, 0, 1, 2, 4\] are not all"),
    ],
)
def test_what_can_not_be(settings, message):
    arguments = {"counts": COUNTS, "mask_id": MASK, "special_ids": SPECIAL, **settings}
    with pytest.raises(ValueError, match=message):
        Masking(**arguments)


@pytest.mark.parametrize("wrong", [-1, V])
def test_an_id_without_a_count(wrong):
    batch = pack([np.array([CLS, wrong, SEP])])
    with pytest.raises(ValueError, match=f"input_ids hold .*{wrong}.* beyond {V} counts"):
        Masking(COUNTS, MASK, SPECIAL)(batch, step_generator(0, 0))
