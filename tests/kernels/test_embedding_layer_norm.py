"""The embedding + LayerNorm kernel: its laws, its errors."""

import pytest
import torch

from minidistil_kernels import embedding_layer_norm, reference
from minidistil_kernels.sum_rows_by_id import RUN_TILE
from minidistil_kernels.testing import embedding_layer_norm as laws
from minidistil_kernels.testing.accuracy import assert_accurate, measure
from tests.kernels.operators import assert_integrates


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(embedding_layer_norm, examples)
    assert result.holds, result


def test_operator():
    inputs = laws.Case(padding_idx=0).inputs()
    for name in laws.DIFFERENTIABLE:
        inputs[name].requires_grad_()
    assert_integrates(embedding_layer_norm, inputs)


def test_packed_ids():
    """(N,) ids with (N,) positions, as in a packed batch."""
    inputs = laws.Case(batch=1).inputs()
    expected = embedding_layer_norm(**inputs)[0]
    packed = inputs | {"input_ids": inputs["input_ids"][0]}
    assert torch.equal(embedding_layer_norm(**packed), expected)


def test_an_id_of_more_rows_than_a_tile():
    """One id, 2 * 8 + 1 times: its gradient is the sum over three tiles, the last with one row."""
    case = laws.Case(batch=1, length=2 * RUN_TILE["ROWS"] + 1, vocabulary=1)
    twin = reference.embedding_layer_norm
    measured = measure(embedding_layer_norm, twin, twin, case.inputs(), ["word"])
    assert_accurate(measured)


def test_nothing_to_do():
    inputs = laws.Case().inputs()
    inputs["input_ids"] = inputs["input_ids"][:0]
    word = inputs["word"].requires_grad_()
    y = embedding_layer_norm(**inputs)
    assert y.shape == (0, 9, 64)
    y.sum().backward()
    assert (word.grad == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"word": torch.zeros(5, 64, dtype=torch.float64)}, "word is torch.float64"),
        ({"position": torch.zeros(11, 32)}, r"position \(11, 32\), expected"),
        ({"input_ids": torch.full((2, 9), 5)}, "5"),
        ({"input_ids": torch.full((2, 9), -1)}, "-1"),
        ({"position_ids": torch.full((9,), 11)}, "11"),
        ({"position_ids": torch.zeros(4, dtype=torch.int64)}, r"\(4,\)"),
        ({"input_ids": torch.zeros(2, 9)}, "input_ids is torch.float32"),
        ({"weight": torch.zeros(5)}, r"weight has shape \(5,\)"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        embedding_layer_norm(**laws.Case().inputs() | change)
