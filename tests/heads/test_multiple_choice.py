"""Multiple choice: every choice is scored alone."""

import pytest
import torch

from tests.helpers.reference import BATCH, CHOICES, inputs, pair
from tests.helpers.tolerances import assert_close

CLS = "DistilBertForMultipleChoice"


@torch.no_grad()
def test_each_choice_alone():
    _, model = pair(CLS, "k16")
    given = inputs(CLS)
    logits = model(**given).logits
    assert logits.shape == (BATCH, CHOICES)
    for choice in range(CHOICES):
        alone = model(**{name: value[:, [choice]] for name, value in given.items()}).logits
        assert_close(logits[:, [choice]], alone)


@torch.no_grad()
def test_embeddings_in_place_of_ids():
    _, model = pair(CLS, "k16")
    given = inputs(CLS)
    embeds = model.get_input_embeddings()(given["input_ids"])
    expected = model(**given).logits
    given.pop("input_ids")
    assert_close(model(**given, inputs_embeds=embeds).logits, expected)


@torch.no_grad()
def test_masks_and_positions_shared_by_all():
    _, model = pair(CLS, "k16")
    given = inputs(CLS)
    flat = given["attention_mask"].flatten(0, 1)
    positions = torch.arange(9)[None]
    actual = model(given["input_ids"], flat, position_ids=positions).logits
    assert_close(actual, model(**given).logits)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "not None"),
        ({"input_ids": torch.zeros(2, 5, dtype=torch.long)}, r"\(batch, choices, length\).*2, 5"),
        (
            {
                "input_ids": torch.zeros(2, 3, 5, dtype=torch.long),
                "attention_mask": torch.ones(2, 3, 4),
            },
            r"attention_mask has shape \(2, 3, 4\), the input \(2, 3, 5\)",
        ),
        (
            {
                "input_ids": torch.zeros(2, 3, 5, dtype=torch.long),
                "inputs_embeds": torch.zeros(2, 3, 5, 32),
            },
            "exactly one",
        ),
    ],
)
def test_wrong_shapes(given, message):
    _, model = pair(CLS, "k16")
    with pytest.raises(ValueError, match=message):
        model(**given)
