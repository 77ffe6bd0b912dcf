"""The cross-entropy kernel: its laws, its traffic, its errors."""

import math

import pytest
import torch

from minidistil_kernels import cross_entropy
from minidistil_kernels.testing import cross_entropy as laws
from tests.kernels.operators import assert_integrates


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.check.__name__)
def test_law(law, examples):
    result = law.try_on(cross_entropy, examples)
    assert result.holds, result


def test_worked_example():
    """Logits (0, ln 3) give (1/4, 3/4); label 0 costs ln 4. The other row is ignored."""
    logits = torch.tensor([[0.0, math.log(3)], [5.0, 7.0]])
    loss = cross_entropy(logits, torch.tensor([0, -100]))
    torch.testing.assert_close(loss, torch.tensor(math.log(4)))


def test_the_vocabulary_of_distilbert():
    """30,522 logits a row: many tiles, the last one ragged."""
    logits = torch.randn(3, 30522) * 3
    labels = torch.tensor([0, 30521, 4096])
    expected = torch.nn.functional.cross_entropy(logits.double(), labels).float()
    torch.testing.assert_close(cross_entropy(logits, labels), expected)


def test_operator():
    inputs = laws.Case().inputs()
    inputs["logits"].requires_grad_()
    assert_integrates(cross_entropy, inputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(2, 4, dtype=torch.float64)}, "logits is torch.float64"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, r"labels has shape \(3,\)"),
        ({"labels": torch.zeros(2)}, "labels is torch.float32"),
        ({"labels": torch.tensor([0, 4])}, "4"),
        ({"labels": torch.tensor([0, -1])}, "-1"),
        ({"logits": torch.zeros(4, 2).T}, "stride 2, not 1"),
        ({"logits": torch.zeros(2, 0)}, r"logits has shape \(2, 0\), expected \(N, V\), V > 0"),
        ({"logits": torch.zeros(2, 3, 4)}, r"logits has shape \(2, 3, 4\)"),
    ],
)
def test_errors(change, message):
    inputs = {"logits": torch.zeros(2, 4), "labels": torch.zeros(2, dtype=torch.int64)}
    with pytest.raises(ValueError, match=message):
        cross_entropy(**inputs | change)


@pytest.mark.parametrize("label", [-5, 7])
def test_a_label_that_is_no_column_on_a_gpu(label):
    """The operator, which looks at no label, gives it probability 0."""
    losses = torch.ops.minidistil.cross_entropy(torch.zeros(2, 7), torch.tensor([3, label]), -100)
    torch.testing.assert_close(losses[0], torch.tensor([math.log(7), math.inf]))


def test_the_lowest_logits():
    """A mask of -3.4e38, float32's lowest, in all places: equal logits, so ln 4."""
    lowest = torch.full((1, 4), torch.finfo(torch.float32).min)
    loss = cross_entropy(lowest, torch.tensor([1]))
    torch.testing.assert_close(loss, torch.tensor(math.log(4)))
