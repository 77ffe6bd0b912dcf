"""Attention of texts grouped by length equals that of each text alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minidistil.inference.attention import GROUPED, grouped
from minidistil.ops.attention import eager
from tests.helpers.tolerances import assert_close


@given(st.lists(st.integers(0, 9), max_size=7), st.booleans(), st.sampled_from([None, 0.3]))
def test_each_text_alone(lengths, in_order, scale):
    lengths = sorted(lengths) if in_order else lengths
    query, key, value = torch.randn(3, sum(lengths), 2, 16)
    ends = torch.tensor([0, *lengths]).cumsum(0).int()
    got = grouped(query, key, value, ends, max(lengths, default=0), scale=scale)
    assert got.shape == query.shape
    for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        rows = [x[None, first:last].transpose(1, 2) for x in (query, key, value)]
        want, _ = eager(*rows, scale=scale)
        assert_close(got[first:last], want[0].transpose(0, 1), f"{first} to {last}")


def test_a_call_for_each_length(monkeypatch):
    """Not one for each text."""
    calls = []
    real = torch.nn.functional.scaled_dot_product_attention

    def count(query, *rest, **options):
        calls.append(tuple(query.shape))
        return real(query, *rest, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", count)
    ends = torch.tensor([0, 3, 6, 9, 14]).int()
    grouped(*torch.randn(3, 14, 2, 16), ends, 5)
    assert calls == [(3, 2, 3, 16), (1, 2, 5, 16)]


def test_padded_batches_are_refused():
    with pytest.raises(ValueError, match="takes packed batches"):
        GROUPED.on_padded(*torch.randn(3, 1, 2, 4, 16), None, 0.0, False)
