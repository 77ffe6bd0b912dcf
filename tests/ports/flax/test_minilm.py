"""Real weights on real sentences: all-MiniLM-L6-v2, in float32, in JAX and in PyTorch."""

import pytest

pytest.importorskip("jax", reason="the port to JAX: pip install minidistil[jax]")
pytest.importorskip("flax", reason="the port to JAX: pip install minidistil[jax]")

import torch
import transformers

from minidistil.checkpoints.conversion import convert_bert
from minidistil.ports.flax import FlaxDistilBertModel
from tests.helpers.weights import minilm_folder
from tests.parity.test_minilm import SENTENCES
from tests.ports.flax.models import run
from tests.ports.parity import arrays, assert_outputs_close, ported


@torch.no_grad()
def test_every_layer():
    model, _ = convert_bert(minilm_folder())
    model.set_attn_implementation("eager")
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_folder())
    encoded = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    given = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    assert not given["attention_mask"].all()
    actual = run(ported(FlaxDistilBertModel, model), arrays(given))
    expected = model(**given, output_hidden_states=True, output_attentions=True)
    assert_outputs_close(actual, expected)
