"""BERT -> DistilBERT on small random BERTs of every kind, and the ones that can't be converted."""

import json

import pytest
import safetensors.torch
import torch
import transformers

from minidistil import (
    DistilBertForMaskedLM,
    DistilBertForTokenClassification,
    DistilBertModel,
)
from minidistil.checkpoints.conversion import convert_bert
from tests.helpers.reference import amplify, holey_mask
from tests.helpers.tolerances import assert_close

POOLER = ["pooler.dense.bias", "pooler.dense.weight"]
CLASSIFIER = ["classifier.bias", "classifier.weight"]


def bert(cls, folder, **fields):
    config = transformers.BertConfig(
        vocab_size=61,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=37,
        max_position_embeddings=24,
        **fields,
    )
    model = getattr(transformers, cls)(config).eval()
    amplify(model)
    with torch.no_grad():  # a segment vector that matters
        model.base_model.embeddings.token_type_embeddings.weight.normal_(0, 1)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("source", "target", "dropped"),
    [
        ("BertModel", DistilBertModel, POOLER),
        ("BertForMaskedLM", DistilBertForMaskedLM, []),
        (
            "BertForPreTraining",
            DistilBertForMaskedLM,
            ["cls.seq_relationship.bias", "cls.seq_relationship.weight", *POOLER],
        ),
        # Its input is a pair in every use, and pairs need the second segment.
        ("BertForQuestionAnswering", DistilBertModel, ["qa_outputs.bias", "qa_outputs.weight"]),
        ("BertForTokenClassification", DistilBertForTokenClassification, []),
        ("BertForSequenceClassification", DistilBertModel, CLASSIFIER + POOLER),
    ],
)
@pytest.mark.parametrize("hidden_act", ["gelu", "relu"])
@torch.no_grad()
def test_every_head(source, target, dropped, hidden_act, tmp_path):
    theirs = bert(source, tmp_path, hidden_act=hidden_act)
    ours, names = convert_bert(tmp_path)
    assert type(ours) is target
    assert names == dropped
    ids, mask = torch.randint(61, (4, 9)), holey_mask(4, 9)
    if target is DistilBertModel:
        theirs = theirs.base_model
    expected = theirs(ids, attention_mask=mask, output_hidden_states=True)
    actual = ours(ids, mask, output_hidden_states=True)
    for got, want in zip(actual.hidden_states, expected.hidden_states, strict=True):
        assert_close(got, want)
    if "logits" in expected:
        assert_close(actual.logits, expected.logits)
    ours.save_pretrained(tmp_path / "distilbert")
    again = target.from_pretrained(tmp_path / "distilbert")
    assert_close(again(ids, mask)[0], actual[0])


def test_the_segment_matters(tmp_path):
    """Guards the test above: without the folded segment the numbers are far off."""
    theirs = bert("BertModel", tmp_path)
    ours, _ = convert_bert(tmp_path)
    folded = ours.get_position_embeddings().weight
    assert (folded - theirs.embeddings.position_embeddings.weight).abs().max() > 0.5


def test_old_names(tmp_path):
    """gamma and beta, as in BERT checkpoints made from TensorFlow's."""
    bert("BertForMaskedLM", tmp_path)
    want, _ = convert_bert(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = safetensors.torch.load_file(file)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, name in old.items():
        weights = {key.replace(new, name): value for key, value in weights.items()}
    assert sum("LayerNorm.gamma" in key for key in weights) == 6
    safetensors.torch.save_file(weights, file)
    ours, dropped = convert_bert(tmp_path)
    assert dropped == []
    for name, weight in want.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight), name


def test_dtype_and_labels_are_kept(tmp_path):
    names = {0: "O", 1: "B-PER", 2: "I-PER"}
    model = bert("BertForTokenClassification", tmp_path, id2label=names)
    model.half().save_pretrained(tmp_path)
    ours, _ = convert_bert(tmp_path)
    assert ours.dtype == torch.float16
    assert ours.config.id2label == names


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps is 1e-05; only 1e-12"),
        ({"hidden_act": "tanh"}, "activation"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"quantization_config": {"bits": 8}}, "quantization_config is {'bits': 8}"),
    ],
)
def test_what_cannot_be_converted(fields, message, tmp_path):
    bert("BertModel", tmp_path, **fields)
    with pytest.raises(ValueError, match=message):
        convert_bert(tmp_path)


def test_a_distilbert_is_not_a_bert(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "distilbert"}')
    with pytest.raises(ValueError, match="model_type is 'distilbert'; only 'bert'"):
        convert_bert(tmp_path)


@pytest.mark.parametrize("name", ["transform.LayerNorm.weight", "decoder.weight"])
def test_a_head_that_is_not_whole(name, tmp_path):
    """Nothing is drawn at random where the result is called equal."""
    bert("BertForMaskedLM", tmp_path, tie_word_embeddings=False)
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    del weights[f"cls.predictions.{name}"]
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks BERT's vocab_"):
        convert_bert(tmp_path)


def test_a_config_of_another_model(tmp_path):
    """Conversion draws no weight, so it offers no way to."""
    bert("BertModel", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 41}))
    with pytest.raises(ValueError, match=r"is \(37,\) in the checkpoint, but \(41,\)") as error:
        convert_bert(tmp_path)
    assert str(tmp_path) in str(error.value) and "ignore" not in str(error.value)
