"""The form in which the model calls attention: another form of result is refused by every law."""

import pytest
import torch

from minidistil.ops import resolve_attention
from minidistil_kernels.testing import check_attention
from minidistil_kernels.testing.attention_form import context_of, pair_of

TWIN = resolve_attention("eager").padded


@pytest.mark.parametrize("weights", [None, torch.ones(1, 1, 2, 2)])
def test_a_pair(weights):
    context = torch.ones(1, 1, 2, 3)
    assert pair_of((context, weights)) == (context, weights)
    attend = context_of(lambda query, scale: (query * scale, weights))
    assert torch.equal(attend(query=context, scale=2.0), 2 * context)


@pytest.mark.parametrize(
    ("returns", "reason"),
    [
        (lambda context: context, "returned Tensor, not (context, weights or None)"),
        (lambda context: (context,), "returned (Tensor), not (context, weights or None)"),
        (lambda context: [context, None], "returned list, not (context, weights or None)"),
        (lambda context: (None, context), "returned (NoneType, Tensor), not (context"),
        (lambda context: None, "returned NoneType, not (context, weights or None)"),
    ],
)
def test_another_form_of_result(returns, reason):
    """A context alone could be taken apart by its first axis: every law refuses it."""
    report = check_attention(lambda *args, **kwargs: returns(TWIN(*args, **kwargs)[0]), examples=1)
    assert not any(result.holds for result in report.results), report
    assert all(reason in result.reason for result in report.results), report
