"""Real weights on real sentences: all-MiniLM-L6-v2, converted, in Keras and in PyTorch."""

import pytest

pytest.importorskip(
    "minidistil.ports.tensorflow",
    reason="the port to Keras: pip install minidistil[tensorflow]",
    exc_type=ModuleNotFoundError,
)

import torch

from minidistil import DistilBertTokenizer
from minidistil.checkpoints.conversion import convert_bert
from minidistil.ports.tensorflow import TFDistilBertModel
from tests.helpers.weights import minilm_folder
from tests.parity.test_minilm import SENTENCES
from tests.ports.parity import arrays, assert_outputs_close, ported

ALL = {"output_hidden_states": True, "output_attentions": True}


@torch.no_grad()
def test_every_layer():
    ours, _ = convert_bert(minilm_folder())
    ours.set_attn_implementation("eager")
    tokenizer = DistilBertTokenizer.from_pretrained(minilm_folder())
    batch = {**tokenizer(SENTENCES, padding=True, return_tensors="pt")}
    assert not batch["attention_mask"].all()
    port = ported(TFDistilBertModel, ours)
    assert_outputs_close(port(arrays(batch), **ALL), ours(**batch, **ALL))
