"""What cases are drawn from."""

import pytest
import torch

from minidistil_kernels.testing import drawing


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_dtype_rounds_and_draws_nothing_else(dtype):
    """The same numbers, whatever their dtype; other numbers from another seed."""
    wide = drawing.normal(3, (4, 5))
    assert torch.equal(drawing.normal(3, (4, 5), dtype), wide.to(dtype))
    assert torch.equal(drawing.normal(3, (4, 5), scale=2.0), 2 * wide)
    assert not torch.equal(drawing.normal(4, (4, 5)), wide)


def test_torchs_own_generator_is_left_alone():
    state = torch.get_rng_state()
    drawing.normal(1, (3,))
    drawing.mask(1, "random", (3, 3))
    assert torch.equal(torch.get_rng_state(), state)


def test_masks():
    assert drawing.mask(0, "none", (3, 40)) is None
    kinds = {kind: drawing.mask(0, kind, (3, 40)) for kind in ("all", "random", "nothing")}
    assert all(mask.dtype == torch.bool and mask.shape == (3, 40) for mask in kinds.values())
    assert kinds["all"].all() and not kinds["nothing"].any()
    assert 0.4 < kinds["random"].double().mean() < 0.8
    one_empty = drawing.mask(0, "one row empty", (3, 40))
    assert not one_empty[0].any() and torch.equal(one_empty[1:], kinds["random"][1:])


def test_the_empty_row_of_any_number_of_axes():
    assert not drawing.mask(0, "one row empty", (40,)).any()
    mask = drawing.mask(0, "one row empty", (2, 3, 40))
    assert not mask[0, 0].any() and mask.flatten(0, 1)[1:].any(-1).all()


def test_shapes():
    assert [drawing.shape(axes, 4, 7) for axes in (1, 2, 3)] == [(7,), (4, 7), (4, 2, 7)]


@pytest.mark.parametrize("shape", [(1, 1), (4, 5), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strided(shape, dtype):
    """Equal numbers, NaN between the rows, stride 1 along them."""
    x = drawing.normal(0, shape, dtype)
    apart = drawing.strided(x)
    assert torch.equal(apart, x) and apart.dtype == dtype
    assert apart.stride(-1) == 1 and apart.stride(-2) == shape[-1] + 3
    memory = torch.as_strided(apart, (shape[-1] + 3,), (1,))
    assert memory[shape[-1] :].isnan().all()
