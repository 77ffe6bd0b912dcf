"""Plans and tensors of batches: nothing lost, nothing twice, the same again from the same seed."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minidistil.distillation.batches import BatchPlan, pack, pad
from minidistil.packing import check_packing

lengths = st.lists(st.integers(2, 60), min_size=1, max_size=80).map(np.array)
sizes = st.one_of(
    st.builds(lambda n: {"batch_size": n}, st.integers(1, 12)),
    st.builds(lambda n: {"tokens_per_batch": n}, st.integers(60, 400)),
)
seeds, epochs = st.integers(0, 3), st.integers(0, 3)


def plans(lengths, world_size, **settings):
    return [
        BatchPlan(lengths, rank=r, world_size=world_size, **settings) for r in range(world_size)
    ]


def as_lists(batches):
    return [batch.tolist() for batch in batches]


def numbers_of(batches):
    return sorted(n for batch in batches for n in batch.tolist())


def test_the_recipe_by_hand():
    """Lengths 2 | 3, 6, 6 | 7, 7: three bins, whose limits are 3 and 7; two sequences a batch.

    The second and the third bin have a full batch each; what is left, a 2 and one of the second
    bin, makes the last batch, in the order of length.
    """
    lengths = np.array([7, 3, 6, 2, 6, 7])
    batches = BatchPlan(lengths, batch_size=2, seed=0).epoch(0)
    contents = [sorted(lengths[batch].tolist()) for batch in batches]
    assert sorted(contents[:2], key=sum)[1] == [7, 7]
    assert lengths[batches[2]].tolist()[0] == 2 and lengths[batches[2]].tolist()[1] in (3, 6)
    assert numbers_of(batches) == [0, 1, 2, 3, 4, 5]


def test_grouping_equals_the_recipes_stream():
    """The recipe's sampler, as a stream: a bin that is full is a batch; what is left comes last."""
    lengths = np.random.default_rng(0).integers(2, 60, 500)
    plan = BatchPlan(lengths, batch_size=7, seed=5)
    order = np.random.default_rng((5, 2)).permutation(500)
    bins, expected = {}, []
    for index in order.tolist():
        group = bins.setdefault(np.searchsorted(np.arange(3, 512, 4), lengths[index], "right"), [])
        group.append(index)
        if len(group) == 7:
            expected.append([*group])
            group.clear()
    left = [index for key in sorted(bins) for index in bins[key]]
    expected += [left[start : start + 7] for start in range(0, len(left), 7)]
    assert as_lists(plan.epoch(2)) == expected


@given(lengths, sizes, seeds, epochs)
def test_every_sequence_once_an_epoch(lengths, size, seed, epoch):
    batches = BatchPlan(lengths, **size, seed=seed).epoch(epoch)
    assert numbers_of(batches) == [*range(len(lengths))]
    assert all(len(batch) for batch in batches)


@given(lengths, sizes, seeds, epochs, st.integers(2, 5))
def test_ranks_share_an_epoch(lengths, size, seed, epoch, world_size):
    world_size = min(world_size, len(lengths))
    shares = [plan.epoch(epoch) for plan in plans(lengths, world_size, **size, seed=seed)]
    assert len({len(share) for share in shares}) == 1
    numbers = numbers_of(batch for share in shares for batch in share)
    assert len({*numbers}) == len(numbers)
    lost = len(lengths) - len(numbers)
    # Sequences wait only where all batches hold a single one.
    assert lost == 0 or (lost < world_size and all(len(b) == 1 for s in shares for b in s))


@given(lengths, sizes, seeds, epochs, st.integers(1, 4))
def test_no_batch_is_over_its_size(lengths, size, seed, epoch, world_size):
    for plan in plans(lengths, min(world_size, len(lengths)), **size, seed=seed):
        for batch in plan.epoch(epoch):
            if "batch_size" in size:
                assert len(batch) <= size["batch_size"]
            else:
                assert lengths[batch].sum() <= size["tokens_per_batch"]


@pytest.mark.parametrize(
    ("budget", "sizes"), [(59, [5, 2]), (60, [6, 1]), (61, [6, 1]), (10, [1] * 7)]
)
def test_seven_sequences_of_ten_tokens(budget, sizes):
    batches = BatchPlan(np.full(7, 10), tokens_per_batch=budget, seed=0).epoch(0)
    assert [*map(len, batches)] == sizes


@given(lengths, st.integers(60, 400), seeds)
def test_packed_batches_are_full(lengths, budget, seed):
    """None could have taken the first sequence of the next one."""
    batches = BatchPlan(lengths, tokens_per_batch=budget, seed=seed).epoch(0)
    for one, after in pairwise(batches):
        assert lengths[one].sum() + lengths[after[0]] > budget


@given(lengths, st.integers(1, 12), seeds)
def test_batches_within_a_bin(lengths, size, seed):
    batches = BatchPlan(lengths, batch_size=size, seed=seed).epoch(0)
    bins = [np.unique((lengths[batch] + 1) // 4) for batch in batches]
    mixed = sum(len(values) > 1 for values in bins)
    # Of each bin fewer than a batch is left over.
    assert mixed <= len(np.unique((lengths + 1) // 4))
    assert all(len(batch) == size for batch in batches[:-1])


@given(lengths, sizes, seeds, epochs)
def test_a_plan_is_a_function_of_seed_and_epoch(lengths, size, seed, epoch):
    plan = BatchPlan(lengths, **size, seed=seed)
    plan.epoch(epoch + 1)  # what came before leaves no trace
    assert as_lists(plan.epoch(epoch)) == as_lists(
        BatchPlan(lengths, **size, seed=seed).epoch(epoch)
    )


def test_the_last_epoch_is_planned_once():
    plan = BatchPlan(np.full(9, 10), batch_size=2, seed=0)
    first = plan.epoch(0)
    assert plan.epoch(0) is first and as_lists(plan.epoch(1)) != as_lists(first)
    assert as_lists(plan.epoch(0)) == as_lists(first)


def test_epochs_and_seeds_differ():
    lengths = np.full(100, 10)
    for size in ({"batch_size": 5}, {"tokens_per_batch": 50}):
        drawn = [
            BatchPlan(lengths, **size, seed=seed).epoch(epoch)
            for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]
        assert len({str(as_lists(batches)) for batches in drawn}) == 4


@given(lengths, sizes, seeds, st.data())
def test_resuming_at_a_position_equals_going_on(lengths, size, seed, data):
    whole = [b for e in range(3) for b in as_lists(BatchPlan(lengths, **size, seed=seed).epoch(e))]
    plan = BatchPlan(lengths, **size, seed=seed)
    per_epoch = len(plan.epoch(0))
    epoch, batch = data.draw(st.integers(0, 2)), data.draw(st.integers(0, per_epoch))
    resumed = as_lists(plan.epoch(epoch))[batch:]
    for later in range(epoch + 1, 3):
        resumed += as_lists(plan.epoch(later))
    done = sum(len(plan.epoch(e)) for e in range(epoch))
    assert resumed == whole[done + batch :]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give one of tokens_per_batch and batch_size"),
        ({"batch_size": 1, "tokens_per_batch": 1}, "give one of"),
        ({"batch_size": 0}, "the size of a batch=0 is no whole number from 1 up"),
        ({"tokens_per_batch": 5}, "tokens_per_batch=5, but sequence 1 alone has 9 tokens"),
        ({"batch_size": 2.5}, "the size of a batch=2.5 is no whole number"),
        ({"batch_size": 1, "rank": 2, "world_size": 2}, "rank=2 of world_size=2"),
        ({"batch_size": 1, "rank": -1}, "rank=-1 of world_size=1"),
        ({"batch_size": 1, "world_size": 4}, "rank=0 of world_size=4 with 3 sequences"),
        ({"batch_size": 1, "seed": -1}, "seed=-1 is no whole number from 0 up"),
    ],
)
def test_what_can_not_be(settings, message):
    with pytest.raises(ValueError, match=message):
        BatchPlan(np.array([3, 9, 4]), **{"seed": 0, **settings})


def test_packed_and_padded_by_hand():
    rows = [np.array([1, 2, 3], np.uint16), np.array([4], np.uint16)]
    packed, padded = pack(rows), pad(rows, 9)
    assert packed["input_ids"].tolist() == [1, 2, 3, 4]
    assert packed["cu_seqlens"].tolist() == [0, 3, 4] and packed["max_seqlen"] == 3
    assert padded["input_ids"].tolist() == [[1, 2, 3], [4, 9, 9]]
    assert padded["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert check_packing(packed["cu_seqlens"], packed["max_seqlen"], 4) == 3
    for batch in (packed, padded):
        assert batch["input_ids"].dtype == torch.int64


@given(lengths, seeds)
def test_packed_and_padded_hold_the_same(lengths, seed):
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, 70_000, n, dtype=np.int32) for n in lengths]
    packed, padded = pack(rows), pad(rows, 0)
    assert torch.equal(packed["input_ids"], padded["input_ids"][padded["attention_mask"] == 1])
    assert packed["cu_seqlens"].diff().tolist() == lengths.tolist()
    assert padded["attention_mask"].sum(1).tolist() == lengths.tolist()
