"""The span head: two logits a token, the mean of two losses."""

import pytest
import torch

from minidistil import DistilBertConfig, DistilBertForQuestionAnswering
from tests.helpers.reference import BATCH, inputs, pair
from tests.helpers.tolerances import assert_close

CLS = "DistilBertForQuestionAnswering"


def test_logits_and_loss_by_hand():
    _, model = pair(CLS, "k16")
    given = inputs(CLS)
    starts, ends = torch.tensor([0, 3, 8, 2]), torch.tensor([1, 99, 8, 9])
    output = model(**given, start_positions=starts, end_positions=ends)
    hidden = model.distilbert(**given).last_hidden_state
    both = hidden @ model.qa_outputs.weight.T + model.qa_outputs.bias
    assert_close(output.start_logits, both[..., 0])
    assert_close(output.end_logits, both[..., 1])
    start_loss = -both[..., 0].log_softmax(-1)[range(BATCH), starts].mean()
    # Positions 99 and 9 lie past the nine tokens: only the first and third answer count.
    end_loss = -both[..., 1].log_softmax(-1)[[0, 2], [1, 8]].mean()
    assert_close(output.loss, (start_loss + end_loss) / 2)


def test_two_labels_are_start_and_end():
    with pytest.raises(ValueError, match=r"num_labels must be 2 \(start, end\), not 3"):
        DistilBertForQuestionAnswering(DistilBertConfig(num_labels=3))


@pytest.mark.parametrize("ends", [[0], [0, 0], [0, 0, 0]])
@pytest.mark.parametrize("packed", [True, False])
def test_nothing_to_learn_from(ends, packed):
    """No sequence, or none with a token: the loss is 0, and so is its gradient."""
    _, model = pair(CLS, "k16")
    sequences = len(ends) - 1
    positions = torch.zeros(sequences, dtype=torch.long)
    if packed:
        options = {"cu_seqlens": torch.tensor(ends, dtype=torch.int32)}
        ids = torch.zeros(0, dtype=torch.long)
    else:
        options, ids = {}, torch.zeros(sequences, 0, dtype=torch.long)
    output = model(ids, start_positions=positions, end_positions=positions, **options)
    output.loss.backward()
    assert output.loss == 0 and output.start_logits.shape == ids.shape
    assert (model.qa_outputs.weight.grad == 0).all()


def test_positions_are_counted_even_without_sequences():
    _, model = pair(CLS, "k16")
    ids, none = torch.zeros(0, dtype=torch.long), torch.tensor([0], dtype=torch.int32)
    one = torch.tensor([0])
    with pytest.raises(ValueError, match="start_positions has 1 entries for 0 sequences"):
        model(ids, cu_seqlens=none, start_positions=one, end_positions=one)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.float32])
def test_positions_of_another_dtype(dtype):
    _, model = pair(CLS, "k16")
    ids, right = torch.zeros(1, 5, dtype=torch.long), torch.tensor([2])
    with pytest.raises(ValueError, match=f"end_positions must be int32 or int64, not {dtype}"):
        model(ids, start_positions=right, end_positions=right.to(dtype))
