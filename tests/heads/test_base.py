"""Cross-entropy by hand, and on batches with nothing to learn from."""

import math

import pytest
import torch

from minidistil.heads.base import cross_entropy
from tests.helpers.reference import CLASSES, inputs, labels, pair


def test_worked_example():
    """Logits (0, ln 3) are probabilities (1/4, 3/4).

    Label 1 costs ln(4/3), label 0 costs ln 4; the third row is ignored. The mean is
    (ln(4/3) + ln 4) / 2.
    """
    logits = torch.tensor([0.0, math.log(3)]).expand(3, 2)
    loss = cross_entropy(logits, torch.tensor([1, 0, -100]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_the_gradient_is_pytorchs():
    logits = torch.randn(4, 5, 7, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(7, (4, 5)).masked_fill(torch.rand(4, 5) > 0.5, -100)
    (ours,) = torch.autograd.grad(cross_entropy(logits, labels), logits)
    theirs = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(ours, *torch.autograd.grad(theirs, logits))


@pytest.mark.parametrize("shape", [(3,), (0,)])
def test_nothing_to_learn_from(shape):
    logits = torch.randn(*shape, 4, requires_grad=True)
    loss = cross_entropy(logits, torch.full(shape, -100))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_the_name_stands_in_the_error():
    with pytest.raises(ValueError, match="start holds 4, expected 0 to 3: 4 classes, -100"):
        cross_entropy(torch.zeros(1, 4), torch.tensor([4]), "start")
    with pytest.raises(ValueError, match=r"start has shape \(2,\), the logits \(1, 4\)"):
        cross_entropy(torch.zeros(1, 4), torch.tensor([1, 2]), "start")


@pytest.mark.parametrize("cls", [c for c in CLASSES if c != "DistilBertModel"])
def test_head_and_encoder_share_one_config(cls):
    _, model = pair(cls, "k16")
    assert model.encoder is model.distilbert
    assert model.distilbert.config is model.config


@pytest.mark.parametrize("labels", [torch.tensor([1.7, 0.0]), torch.tensor([True, False])])
def test_labels_that_are_no_classes(labels):
    with pytest.raises(ValueError, match="labels must be integers, one class each, not torch"):
        cross_entropy(torch.zeros(2, 2), labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_half_precision_are_summed_in_single(dtype):
    """A sum of 16,384 losses of about 6 overflows float16."""
    logits = torch.randn(16_384, 256).to(dtype)
    labels = torch.randint(256, (16_384,))
    loss = cross_entropy(logits, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, cross_entropy(logits.float(), labels))


@torch.no_grad()
@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls != "DistilBertModel"])
def test_labels_add_a_loss_and_change_nothing_else(cls):
    _, model = pair(cls, "k16")
    given = inputs(cls)
    without, judged = model(**given), model(**given, **labels(cls))
    assert without.loss is None and judged.loss > 0
    for name in set(without.keys()) - {"loss"}:
        assert torch.equal(judged[name], without[name])
