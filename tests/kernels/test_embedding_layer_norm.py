"""The embedding + LayerNorm kernel: its laws, its errors."""

from importlib import import_module

import pytest
import torch

from minidistil_kernels import embedding_layer_norm, reference
from minidistil_kernels.add_layer_norm import MAX_D
from minidistil_kernels.sum_rows_by_id import RUN_TILE
from minidistil_kernels.testing import embedding_layer_norm as laws
from minidistil_kernels.testing.accuracy import assert_accurate, measure
from tests.kernels.operators import assert_integrates

# The package's function has the name of this module, and hides it.
module = import_module("minidistil_kernels.embedding_layer_norm")


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(embedding_layer_norm, examples)
    assert result.holds, result


def accurate(case, names):
    twin = reference.embedding_layer_norm
    assert_accurate(measure(embedding_layer_norm, twin, twin, case.inputs(), names))


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
    accurate(laws.Case(batch=1, length=2 * RUN_TILE["ROWS"] + 1, vocabulary=1), ["word"])


def test_more_tokens_than_programs(monkeypatch):
    """Two programs of the backward sum three tokens and two, as 256 do of more than 256."""
    monkeypatch.setattr(module, "PARTIALS", 2)
    accurate(laws.Case(batch=1, length=5, width=8), laws.DIFFERENTIABLE)


def test_padding_counted_from_the_end():
    accurate(laws.Case(padding_idx=-1), ["word"])


def test_fixed_words():
    """Positions learn where words do not, as the other way round."""
    accurate(laws.Case(), ["position"])


def test_an_unknown_id_on_a_gpu(monkeypatch):
    """Where nobody looks at ids, one that its table does not have gives NaN, and only there."""
    monkeypatch.setattr(module, "_check_ids", lambda *_: None)
    inputs = laws.Case().inputs()
    inputs["input_ids"][0, 0], inputs["input_ids"][1, 1] = 99, -1
    y = embedding_layer_norm(**inputs)
    assert y[0, 0].isnan().all() and y[1, 1].isnan().all()
    assert (y.isfinite().sum((1, 2)) == 8 * 64).all()


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
        ({"padding_idx": 5}, "padding_idx is 5, but word has 5 rows"),
        ({"word": torch.zeros(64, 5).T}, "last axis of word has stride 5, not 1"),
        ({"position": torch.zeros(64, 11).T}, "last axis of position has stride 11"),
        ({"eps": -1e-12}, "eps is -1e-12, expected 0 or more"),
        (
            {"word": torch.zeros(1, MAX_D + 1), "position": torch.zeros(1, MAX_D + 1)},
            "at most 8192 elements",
        ),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        embedding_layer_norm(**laws.Case().inputs() | change)
