"""Real weights on real sentences: all-MiniLM-L6-v2, converted, against transformers' BertModel."""

import pytest
import torch
import transformers

from minidistil import DistilBertModel
from minidistil.checkpoints.conversion import convert_bert
from tests.helpers.tolerances import assert_close
from tests.helpers.weights import minilm_folder

SENTENCES = [
    "We the People of the United States, in Order to form a more perfect Union,",
    "establish Justice, insure domestic Tranquility, provide for the common defence.",
    "Call me Ishmael.",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the "
    "age of foolishness, it was the epoch of belief, it was the epoch of incredulity.",
    "Alice was beginning to get very tired of sitting by her sister on the bank.",
    "the cat sat on the mat",
    "The feline rested on the rug.",
    "E = mc² holds in naïve Straßburg, 東京 and Ελλάδα!",
]


@pytest.fixture(scope="module")
def batch():
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_folder())
    encoded = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    assert not encoded["attention_mask"].all()
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


@pytest.fixture(scope="module")
def expected(batch):
    bert = transformers.BertModel.from_pretrained(minilm_folder(), attn_implementation="eager")
    with torch.no_grad():
        output = bert.eval()(**batch, output_hidden_states=True, output_attentions=True)
    return output.hidden_states, output.attentions


@pytest.fixture(scope="module")
def converted():
    model, dropped = convert_bert(minilm_folder())
    assert dropped == ["pooler.dense.bias", "pooler.dense.weight"]
    return model


@torch.no_grad()
def test_every_layer(converted, batch, expected):
    converted.set_attn_implementation("eager")
    output = converted(**batch, output_hidden_states=True, output_attentions=True)
    for layer, (got, want) in enumerate(zip(output.hidden_states, expected[0], strict=True)):
        assert_close(got, want, f"hidden state {layer}")
    for layer, (got, want) in enumerate(zip(output.attentions, expected[1], strict=True)):
        assert_close(got, want, f"attention {layer}")


@torch.no_grad()
def test_sdpa_and_packed(converted, batch, expected):
    converted.set_attn_implementation("sdpa")
    mask = batch["attention_mask"].bool()
    assert_close(converted(**batch).last_hidden_state, expected[0][-1])
    cu_seqlens = torch.nn.functional.pad(mask.sum(1).cumsum(0), (1, 0)).to(torch.int32)
    packed = converted(batch["input_ids"][mask], cu_seqlens=cu_seqlens).last_hidden_state
    assert_close(packed, expected[0][-1][mask])


@torch.no_grad()
def test_saved_and_loaded_by_both(converted, batch, tmp_path):
    converted.set_attn_implementation("eager")
    want = converted(**batch).last_hidden_state
    converted.save_pretrained(tmp_path)
    ours = DistilBertModel.from_pretrained(tmp_path, attn_implementation="eager")
    theirs = transformers.DistilBertModel.from_pretrained(tmp_path, attn_implementation="eager")
    assert torch.equal(ours(**batch).last_hidden_state, want)
    assert_close(theirs(**batch).last_hidden_state, want)
