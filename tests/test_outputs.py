"""Typed results: attribute, name, index; None skipped; pytree."""

import dataclasses

import pytest
import torch
import transformers.modeling_outputs
from torch.utils import _pytree as pytree

from minidistil import outputs

# Those of the ports are subclasses too.
CLASSES = [c for c in outputs.ModelOutput.__subclasses__() if c.__module__ == outputs.__name__]


@pytest.mark.parametrize("cls", CLASSES)
def test_fields_are_the_references(cls):
    theirs = getattr(transformers.modeling_outputs, cls.__name__)
    assert list(cls.__dataclass_fields__) == list(theirs.__dataclass_fields__)


def test_reading():
    logits, hidden = torch.ones(2, 3), (torch.zeros(1), torch.ones(1))
    output = outputs.MaskedLMOutput(logits=logits, hidden_states=hidden)
    assert output.loss is None
    assert output["logits"] is output.logits is output[0] is logits
    assert output[1] is hidden and output[-1] is hidden
    assert output[:1] == (logits,)
    assert list(output) == list(output.keys()) == ["logits", "hidden_states"]
    assert len(output) == 2 and "loss" not in output
    assert output.to_tuple() == (logits, hidden)
    assert dict(**output)["hidden_states"] is hidden
    assert [name for name, _ in output.items()] == ["logits", "hidden_states"]
    with pytest.raises(KeyError, match="loss"):
        output["loss"]
    with pytest.raises(IndexError):
        output[2]


@pytest.mark.parametrize("cls", CLASSES)
def test_a_mapping_makes_it_again(cls):
    """As the one argument, as accelerate does it, or as keywords; all fields or only some."""
    names = [field.name for field in dataclasses.fields(cls)]
    for count in range(1, len(names) + 1):
        output = cls(**{name: torch.ones(i + 1) for i, name in enumerate(names[:count])})
        for again in (cls(dict(output)), cls(output), cls(**output)):
            assert again is not output and type(again) is cls
            assert list(again) == names[:count]
            assert all(again[name] is output[name] for name in names[:count])
    with pytest.raises(TypeError, match="unexpected keyword argument 'pooled'"):
        cls({"pooled": torch.ones(1)})


def test_comparing_and_hashing_look_at_identity():
    one, other = (outputs.BaseModelOutput(torch.ones(2)) for _ in range(2))
    assert one == one and one != other and len({one, other}) == 2


def test_pytree():
    output = outputs.BaseModelOutput(torch.ones(2), (torch.ones(3), torch.ones(1)))
    doubled = pytree.tree_map(lambda t: t * 2, output)
    assert isinstance(doubled, outputs.BaseModelOutput)
    assert doubled.hidden_states[0].tolist() == [2, 2, 2] and doubled.attentions is None
