"""Batches by the lengths of their texts."""

import pytest
import torch

from minidistil.benchmark.work import FIRST_ID, ROWS, SMALL, Setting, Work, mixed


def test_a_batch_by_hand():
    work = Work("x", (3, 1))
    assert (work.tokens, work.shape, work.fill) == (4, (2, 3), 4 / 6)
    ids, mask = work.padded(200)
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]] and ids.dtype == mask.dtype == torch.int64
    assert (ids[mask.bool()] >= FIRST_ID).all() and ids[1, 1:].tolist() == [0, 0]
    assert torch.equal(ids, work.padded(200)[0]) and not torch.equal(ids, work.padded(200, 1)[0])


@pytest.mark.parametrize("count, longest, fill", [(8, 256, 0.39), (32, 256, 0.34), (16, 512, 0.9)])
def test_mixed_lengths_fill_what_was_asked(count, longest, fill):
    lengths = mixed(count, longest, fill)
    assert len(lengths) == count and max(lengths) == longest and min(lengths) >= 1
    assert sum(lengths) / (count * longest) == pytest.approx(fill, abs=0.5 / longest + 1e-3)
    assert lengths == mixed(count, longest, fill) != mixed(count, longest, fill, seed=1)


def test_the_rows():
    assert [row.shape[0] for row in ROWS] == [1, 1, 8, 32]
    assert [round(row.fill, 2) for row in ROWS] == [1, 1, 0.39, 0.34]


def test_errors():
    for lengths in ((), (3, 0)):
        with pytest.raises(ValueError, match="one token or more"):
            Work("x", lengths)
    with pytest.raises(ValueError, match="can't fill 10%"):
        mixed(8, 256, 0.1)
    with pytest.raises(ValueError, match="rounds=0"):
        Setting(rounds=0)
    with pytest.raises(ValueError, match="abacus"):
        Setting(device="abacus")
    with pytest.raises(ValueError, match="n_heads"):
        Setting(fields={"dim": 7})


def test_a_setting_makes_a_config():
    assert Setting().config().dim == 768
    config = Setting(fields=SMALL).config(n_layers=5)
    assert (config.dim, config.n_layers) == (32, 5)
