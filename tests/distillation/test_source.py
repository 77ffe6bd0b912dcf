"""Batches of a run: a function of the step's number, every sequence once an epoch."""

import numpy as np
import pytest
import torch

from minidistil.distillation.source import MaskedBatches
from minidistil.training import processes
from tests.helpers.training import token_file


@pytest.fixture
def data(tmp_path):
    return token_file(tmp_path / "tokens", sequences=23)


def unmasked(batch) -> np.ndarray:
    return torch.where(batch["labels"] >= 0, batch["labels"], batch["input_ids"]).numpy()


def sequences_of(batches) -> list[tuple[int, ...]]:
    found = []
    for batch in batches:
        rows = np.split(unmasked(batch), batch["cu_seqlens"][1:-1].numpy())
        found += [tuple(row.tolist()) for row in rows]
    return found


@pytest.mark.parametrize("accumulation", [1, 3, 100])
def test_an_epoch_has_every_sequence_once(data, accumulation):
    """Also those of the last step, which has fewer batches: the recipe lost them."""
    source = MaskedBatches(data, tokens_per_batch=40, accumulation=accumulation)
    first, second = source.steps(1), source.steps(2)
    for steps in (range(first), range(first, second)):
        found = sequences_of(batch for step in steps for batch in source.batches(step))
        assert sorted(found) == sorted(tuple(data[i].tolist()) for i in range(len(data)))


def test_a_step_is_a_function_of_its_number(data):
    source, other = (MaskedBatches(data, tokens_per_batch=40, accumulation=2) for _ in range(2))
    steps = source.steps(3)
    forward = [source.batches(step) for step in range(steps)]
    for step in reversed(range(steps)):
        for ours, theirs in zip(forward[step], other.batches(step), strict=True):
            assert torch.equal(ours["input_ids"], theirs["input_ids"])
            assert torch.equal(ours["labels"], theirs["labels"])


def test_masks_differ_between_epochs_and_batches(data):
    source = MaskedBatches(data, tokens_per_batch=1000, accumulation=1)
    masks = [source.batches(step)[0] for step in range(3)]  # an epoch each
    by_sequence = [
        dict(
            zip(sequences_of([m]), m["labels"].split(m["cu_seqlens"].diff().tolist()), strict=True)
        )
        for m in masks
    ]
    key = max(by_sequence[0], key=len)
    assert not torch.equal(by_sequence[0][key], by_sequence[1][key])


def test_ranks_share_an_epoch(data, monkeypatch):
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    found, steps = [], []
    for rank in range(2):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        source = MaskedBatches(data, tokens_per_batch=40, accumulation=2)
        steps.append(source.steps(1))
        found += sequences_of(batch for s in range(steps[-1]) for batch in source.batches(s))
    assert steps[0] == steps[1]
    assert sorted(found) == sorted(tuple(data[i].tolist()) for i in range(len(data)))


def test_padded(tmp_path):
    data = token_file(tmp_path / "tokens", lengths=1)  # of one length: the same batches
    packed = MaskedBatches(data, tokens_per_batch=60).batches(0)[0]
    padded = MaskedBatches(data, tokens_per_batch=60, padded=True).batches(0)[0]
    real = padded["attention_mask"].bool()
    assert np.array_equal(unmasked(packed), unmasked(padded)[real.numpy()])
    assert (padded["labels"][~real] == -100).all()


def test_padding_counts(data):
    """16 sequences of 5 tokens or one of 14 would do for 60 tokens; never 12 rows of 14."""
    source = MaskedBatches(data, tokens_per_batch=60, padded=True)
    shapes = [
        batch["input_ids"].shape
        for step in range(source.steps(1))
        for batch in source.batches(step)
    ]
    assert max(rows * length for rows, length in shapes) <= 60
    assert sum(rows for rows, _ in shapes) == len(data)
    assert len({length for _, length in shapes}) > 3


def test_without_masks(data):
    """Where no loss needs a masked word, the texts are whole."""
    source = MaskedBatches(data, tokens_per_batch=1000, masked=False)
    batch = source.batches(0)[0]
    assert "labels" not in batch and source.masking is None
    rows = np.split(batch["input_ids"].numpy(), batch["cu_seqlens"][1:-1].numpy())
    whole = sorted(tuple(row.tolist()) for row in rows)
    assert whole == sorted(tuple(data[i].tolist()) for i in range(len(data)))


def test_errors(data):
    with pytest.raises(ValueError, match="accumulation is 0"):
        MaskedBatches(data, tokens_per_batch=40, accumulation=0)
    with pytest.raises(ValueError, match="tokens_per_batch=5"):
        MaskedBatches(data, tokens_per_batch=5)
    with pytest.raises(ValueError, match="proportion=2"):
        MaskedBatches(data, tokens_per_batch=40, proportion=2.0)
