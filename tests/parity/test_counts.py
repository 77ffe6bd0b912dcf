"""The default config has exactly the published numbers of parameters."""

import pytest
import torch

import minidistil

EXPECTED = [
    ("DistilBertModel", {}, 66_362_880),
    ("DistilBertForMaskedLM", {}, 66_985_530),
    ("DistilBertForSequenceClassification", {}, 66_955_010),
    ("DistilBertForMultipleChoice", {}, 66_954_241),
    ("DistilBertForTokenClassification", {}, 66_364_418),
    ("DistilBertForQuestionAnswering", {}, 66_364_418),
    ("DistilBertModel", {"vocab_size": 28_996}, 65_190_912),
    ("DistilBertForMaskedLM", {"vocab_size": 28_996}, 65_812_036),
    ("DistilBertModel", {"vocab_size": 119_547}, 134_734_080),
]


@pytest.mark.parametrize(("cls", "fields", "count"), EXPECTED)
def test_parameters(cls, fields, count):
    with torch.device("meta"):
        model = getattr(minidistil, cls)(minidistil.DistilBertConfig(**fields))
    assert model.num_parameters() == count


def test_names():
    with torch.device("meta"):
        encoder = minidistil.DistilBertModel(minidistil.DistilBertConfig())
        masked_lm = minidistil.DistilBertForMaskedLM(minidistil.DistilBertConfig())
    assert len(encoder.state_dict()) == 4 + 16 * 6
    assert len(masked_lm.state_dict()) == 106
    assert len(list(masked_lm.named_parameters())) == 105
