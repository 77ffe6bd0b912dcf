"""A fast path whose model changes, or that is to be changed itself, says so; it never mixes two."""

import copy
import dataclasses
import io
import pickle

import pytest
import torch

from minidistil.ops import TORCH
from minidistil.quantization import quantize
from tests.helpers.reference import VOCAB, inputs, pair
from tests.helpers.tolerances import assert_close
from tests.inference.models import models


def step(optimizer):
    """Of training, by an optimizer of PyTorch."""

    def change(model):
        model(**inputs("DistilBertForMaskedLM")).logits.square().mean().backward()
        optimizer(model.parameters()).step()

    return change


def load_another(model):
    model.load_state_dict({name: value * 1.5 for name, value in model.state_dict().items()})


@torch.no_grad()
def write_a_row(model):
    model.get_input_embeddings().weight[7] = 1.0


@pytest.mark.parametrize(
    "change",
    [
        step(lambda parameters: torch.optim.AdamW(parameters, lr=0.1)),
        step(lambda parameters: torch.optim.AdamW(parameters, lr=0.1, fused=True)),
        step(lambda parameters: torch.optim.SGD(parameters, lr=0.1)),
        load_another,
        write_a_row,
        torch.inference_mode()(lambda model: model.get_position_embeddings().weight.zero_()),
    ],
    ids=["AdamW", "fused", "SGD", "load", "row", "inference"],
)
def test_a_changed_model_is_noticed(change):
    """The tables are its memory: half of the old model and half of the new would answer."""
    model, fast = models("DistilBertForMaskedLM", "k16")
    given = inputs("DistilBertForMaskedLM")
    copied = copy.deepcopy(fast)
    with torch.no_grad():
        want = fast(**given).logits
    change(model)
    for stale in (lambda: fast(**given), lambda: copy.deepcopy(fast)):
        with pytest.raises(ValueError, match="has changed since it was made: .* for_inference aga"):
            stale()
    assert_close(copied(**given).logits, want, "a copy has tables of its own")
    model.eval().for_inference()(**given)


@pytest.mark.parametrize("name", ["half", "double", "bfloat16", "train"])
def test_what_does_not_reach_it(name):
    model, fast = models("DistilBertForMaskedLM", "k16")
    given = inputs("DistilBertForMaskedLM")
    want = fast(**given).logits
    getattr(model, name)()
    assert torch.equal(fast(**given).logits, want)
    model.resize_token_embeddings(VOCAB + 3)
    assert torch.equal(fast(**given).logits, want)


def doubled(query, key, value, mask=None, *, scale=None, dropout_p=0.0, need_weights=False):
    return 2 * value, None


def test_an_attention_of_ones_own_is_refused():
    _, model = pair("DistilBertModel", "k16")
    for name, own, usual in (
        ("attn_implementation", doubled, "sdpa"),
        ("layer_ops", dataclasses.replace(TORCH), "torch"),
    ):
        getattr(model, f"set_{name}")(own)
        with pytest.raises(
            ValueError, match="has its own attention and layers, not .*: call the model"
        ):
            model.for_inference()
        getattr(model, f"set_{name}")(usual)
    for name in ("eager", "sdpa"):
        model.set_attn_implementation(name)
        model.for_inference()(**inputs("DistilBertModel"))


@torch.no_grad()
def swap_words(fast):
    """Another parameter, written to as often as the old one."""
    words = fast.get_input_embeddings()
    new = torch.nn.Parameter(words.weight * 2, requires_grad=False)
    while new._version < words.weight._version:
        new.mul_(1)
    words.weight = new


def test_what_would_change_it():
    """Each is an error at once, or at the next call: it neither half works nor is forgotten."""
    changes = {
        "can't be changed": [
            lambda fast: fast.prune_heads({0: [1]}),
            lambda fast: fast.gradient_checkpointing_enable(),
            lambda fast: fast.gradient_checkpointing_disable(),
        ],
        "load into": [
            lambda fast: fast.load_state_dict(fast.state_dict()),
            lambda fast: fast.load_state_dict(fast.state_dict(), strict=False),
        ],
        "can't be pickled": [
            pickle.dumps,
            lambda fast: torch.save(fast, io.BytesIO()),
        ],
        "has changed since it was made": [
            quantize,
            lambda fast: fast.set_attn_implementation("eager"),
            lambda fast: fast.set_attn_implementation(doubled),
            lambda fast: fast.set_layer_ops(dataclasses.replace(TORCH)),
            swap_words,
            lambda fast: fast.resize_token_embeddings(VOCAB + 1),
            lambda fast: fast.resize_position_embeddings(30),
        ],
    }
    for cls in ("DistilBertModel", "DistilBertForMaskedLM"):
        given = inputs(cls)
        for message, several in changes.items():
            for change in several:
                model, fast = models(cls, "k16", attn_implementation="sdpa")
                before = copy.deepcopy(model.state_dict())
                with pytest.raises(ValueError, match=message):
                    change(fast)
                    fast(**given)
                for name, value in model.state_dict().items():
                    assert torch.equal(value, before[name])
