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
