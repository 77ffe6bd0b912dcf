"""Value checks look at values only where that is free."""

import numpy
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from minidistil import DistilBertConfig, DistilBertModel
from minidistil.checks import check_ids, check_range, check_tensors, values_are_visible


@pytest.mark.parametrize("value", [-1, 5])
def test_the_wrong_value_is_named(value):
    with pytest.raises(ValueError, match=f"ids holds {value}, expected 0 to 4: do this"):
        check_range("ids", torch.tensor([0, value, 4]), 5, "do this")


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int8, torch.int16, torch.bool, torch.float32, torch.uint32]
)
def test_ids_of_another_dtype(dtype):
    with pytest.raises(ValueError, match=rf"ids must be int32 or int64, not {dtype}: .*\.long\(\)"):
        check_ids("ids", torch.ones(2, dtype=dtype))


def test_what_passes():
    check_ids("ids", torch.ones(2, dtype=torch.int32))
    check_ids("ids", torch.ones(2, dtype=torch.int64, device="meta"))
    check_range("ids", torch.tensor([0, -100, 4]), 5, "", ignored=-100)
    check_range("ids", torch.tensor([0, 10**9]), None, "")
    check_range("ids", torch.tensor([], dtype=torch.long), 5, "")
    check_range("ids", torch.full((2,), 9, device="meta"), 5, "")


def test_no_upper_bound_is_still_a_lower_one():
    with pytest.raises(ValueError, match="positions holds -3, expected 0 or more"):
        check_range("positions", torch.tensor([-3]), None, "")


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning")
def test_visibility():
    assert values_are_visible(torch.zeros(1))
    assert not values_are_visible(torch.zeros(1, device="meta"))
    seen = []
    torch.jit.trace(lambda x: (seen.append(values_are_visible(x)), x)[1], torch.zeros(1))
    assert seen[0] is False


def test_torch_func_and_fake_tensors_and_make_fx():
    """Where there is no one value, nothing is looked at, and the model runs."""
    model = DistilBertModel(
        DistilBertConfig(vocab_size=9, dim=8, n_heads=2, hidden_dim=5, n_layers=1)
    ).eval()
    ids, mask = torch.randint(9, (3, 4)), torch.tensor([[1, 1, 0, 1]] * 3)
    expected = model(ids, mask)[0]
    one = torch.func.vmap(lambda i, m: model(i[None], m[None])[0][0])(ids, mask)
    torch.testing.assert_close(one, expected)
    graph = make_fx(lambda i, m: model(i, m)[0])(ids, mask)
    torch.testing.assert_close(graph(ids, mask), expected)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = model(mode.from_tensor(ids), mode.from_tensor(mask))[0]
    assert fake.shape == (3, 4, 8)


@pytest.mark.parametrize("value", [[1], 5, numpy.zeros(1), (torch.zeros(1),)])
def test_what_is_no_tensor(value):
    check_tensors(a=None, b=torch.zeros(1), c=torch.nn.Parameter(torch.zeros(1)))
    message = (
        rf"mask is a {type(value).__name__}, not a tensor: .* torch\.tensor\(\.\.\.\) makes one"
    )
    with pytest.raises(TypeError, match=message):
        check_tensors(ids=None, mask=value)
    with pytest.raises(TypeError, match="mask is a"):
        check_ids("mask", value)
