"""Every hidden state, attention, logit and loss of every class against transformers."""

import pytest
import torch

from tests.helpers.reference import CLASSES, CONFIGS, inputs, labels, pair
from tests.helpers.tolerances import assert_close


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_all_outputs(cls, name):
    theirs, ours = pair(cls, name)
    given = inputs(cls) | (labels(cls) if cls != "DistilBertModel" else {})
    switches = {"output_hidden_states": True, "output_attentions": True}
    expected, actual = theirs(**given, **switches), ours(**given, **switches)
    assert list(actual) == list(expected)
    for field in expected:
        want, got = expected[field], actual[field]
        if isinstance(want, tuple):
            assert len(got) == len(want) > 0
            for layer, (x, y) in enumerate(zip(got, want, strict=True)):
                assert_close(x, y, f"{field}[{layer}]")
        else:
            assert_close(got, want, field)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_sdpa_agrees_with_eager(cls, name):
    _, ours = pair(cls, name)
    given = inputs(cls)
    expected = ours(**given, return_dict=False)
    ours.set_attn_implementation("sdpa")
    for x, y in zip(ours(**given, return_dict=False), expected, strict=True):
        assert_close(x, y)


@pytest.mark.parametrize("cls", CLASSES)
@torch.no_grad()
def test_tuples_have_the_references_order(cls):
    theirs, ours = pair(cls, "k16")
    given = inputs(cls) | (labels(cls) if cls != "DistilBertModel" else {})
    given |= {"output_hidden_states": True, "return_dict": False}
    expected, actual = theirs(**given), ours(**given)
    assert isinstance(actual, tuple) and len(actual) == len(expected)
    for got, want in zip(actual, expected, strict=True):
        assert type(got) is type(want)
        assert_close(*((got[-1], want[-1]) if isinstance(want, tuple) else (got, want)))


@pytest.mark.parametrize("name", CONFIGS)
def test_training_mode_with_the_same_seed(name):
    """Dropout draws in the reference's order, so the same seed drops the same numbers."""
    theirs, ours = pair("DistilBertForMaskedLM", name, dropout=0.3, attention_dropout=0.2)
    given = inputs("DistilBertForMaskedLM") | labels("DistilBertForMaskedLM")
    results = []
    for model in (theirs.train(), ours.train()):
        torch.manual_seed(7)
        results.append(model(**given))
    assert_close(results[1].logits, results[0].logits)
    assert_close(results[1].loss, results[0].loss)
    ours.eval()
    assert (ours(**given).logits - results[1].logits).abs().max() > 0.1  # dropout was really on


@pytest.mark.parametrize("cls", CLASSES)
@torch.no_grad()
def test_inputs_embeds(cls):
    theirs, ours = pair(cls, "k40-tanh")
    given = inputs(cls)
    embedded = ours.get_input_embeddings()(given.pop("input_ids"))
    for got, want in zip(
        ours(inputs_embeds=embedded, **given, return_dict=False),
        theirs(inputs_embeds=embedded, **given, return_dict=False),
        strict=True,
    ):
        assert_close(got, want)
