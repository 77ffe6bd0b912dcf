"""Value checks look at values only where that is free."""

import pytest
import torch

from minidistil.checks import check_range, values_are_visible


@pytest.mark.parametrize("value", [-1, 5])
def test_the_wrong_value_is_named(value):
    with pytest.raises(ValueError, match=f"ids holds {value}, expected 0 to 4: do this"):
        check_range("ids", torch.tensor([0, value, 4]), 5, "do this")


def test_what_passes():
    check_range("ids", torch.tensor([0, -100, 4]), 5, "", ignored=-100)
    check_range("ids", torch.tensor([0, 10**9]), None, "")
    check_range("ids", torch.tensor([], dtype=torch.long), 5, "")
    check_range("ids", torch.full((2,), 9, device="meta"), 5, "")


def test_no_upper_bound_is_still_a_lower_one():
    with pytest.raises(ValueError, match="positions holds -3, expected 0 or more"):
        check_range("positions", torch.tensor([-3]), None, "")


def test_visibility():
    assert values_are_visible(torch.zeros(1))
    assert not values_are_visible(torch.zeros(1, device="meta"))
    seen = []
    torch.jit.trace(lambda x: (seen.append(values_are_visible(x)), x)[1], torch.zeros(1))
    assert seen[0] is False
