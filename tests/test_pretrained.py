"""What all models share: getters and setters, tying, switches, facts."""

import pytest
import torch
from torch import nn

import minidistil
from minidistil import DistilBertConfig
from minidistil.ops import AttentionImpl
from minidistil.ops.attention import eager
from minidistil.pretrained import DistilBertPreTrainedModel
from tests.helpers.reference import CLASSES, VOCAB, pair


@pytest.mark.parametrize("cls", CLASSES)
def test_embeddings_can_be_read_and_replaced(cls):
    _, model = pair(cls, "k16")
    assert model.get_input_embeddings() is model.encoder.embeddings.word_embeddings
    assert model.get_position_embeddings() is model.encoder.embeddings.position_embeddings
    new = nn.Embedding(VOCAB, 32)
    model.set_input_embeddings(new)
    assert model.get_input_embeddings() is new
    if cls == "DistilBertForMaskedLM":
        assert model.get_output_embeddings() is model.vocab_projector
        assert model.vocab_projector.weight is new.weight
        model.set_output_embeddings(nn.Linear(32, VOCAB))
        assert model.vocab_projector.weight is not new.weight
    else:
        assert model.get_output_embeddings() is None
        with pytest.raises(TypeError, match=f"{cls} has no projector; DistilBertForMaskedLM has"):
            model.set_output_embeddings(nn.Linear(32, VOCAB))


def test_untied():
    _, model = pair("DistilBertForMaskedLM", "k80-untied")
    assert model.vocab_projector.weight is not model.get_input_embeddings().weight
    model.tie_weights()
    assert model.vocab_projector.weight is not model.get_input_embeddings().weight


def test_attention_implementations():
    _, model = pair("DistilBertForMaskedLM", "k16")
    ids = torch.randint(VOCAB, (2, 5))
    expected = model(ids).logits
    for implementation in ("sdpa", eager, AttentionImpl(eager), "eager"):
        model.set_attn_implementation(implementation)
        assert model.distilbert.config.attn_implementation is implementation
        torch.testing.assert_close(model(ids).logits, expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="'flash'"):
        model.set_attn_implementation("flash")
    assert model.config.attn_implementation == "eager"


def test_an_unknown_implementation_is_found_when_the_model_is_built():
    with pytest.raises(ValueError, match="unknown attention implementation 'flash'"):
        minidistil.DistilBertModel(DistilBertConfig(attn_implementation="flash"))


def test_an_invalid_config_is_found_when_the_model_is_built():
    config = DistilBertConfig()
    config.dim = 100
    with pytest.raises(ValueError, match="dim must be a multiple of n_heads=12, not 100"):
        minidistil.DistilBertModel(config)


def test_facts():
    _, model = pair("DistilBertForMaskedLM", "k16")
    assert model.device == torch.device("cpu") and model.dtype == torch.float32
    assert model.half().dtype == torch.float16
    total = sum(p.numel() for p in model.parameters())
    assert model.num_parameters() == model.num_parameters(only_trainable=True) == total
    model.get_position_embeddings().weight.requires_grad_(False)
    assert model.num_parameters(only_trainable=True) == total - 24 * 32


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="DistilBertPreTrainedModel is abstract"):
        _ = DistilBertPreTrainedModel(DistilBertConfig()).encoder


def test_a_word_embedding_of_another_size():
    _, model = pair("DistilBertForMaskedLM", "k16")
    new = nn.Embedding(VOCAB + 9, 32)
    model.set_input_embeddings(new)
    assert model.vocab_projector.weight is new.weight
    assert model(torch.tensor([[VOCAB + 8]])).logits.shape == (1, 1, VOCAB + 9)
    assert model.config.vocab_size == VOCAB + 9


@pytest.mark.parametrize("new", [nn.Embedding(VOCAB, 16), nn.Linear(32, VOCAB)])
def test_what_cannot_be_the_word_embedding(new):
    _, model = pair("DistilBertForMaskedLM", "k16")
    old = model.get_input_embeddings()
    with pytest.raises(ValueError, match=r"\) does not fit: expected nn\.Embedding\(tokens, 32\)"):
        model.set_input_embeddings(new)
    assert model.get_input_embeddings() is old and model.config.vocab_size == VOCAB


@pytest.mark.parametrize("cls", CLASSES)
def test_two_models_of_one_config_do_not_see_each_other(cls):
    config = DistilBertConfig(
        vocab_size=VOCAB, dim=8, n_heads=2, hidden_dim=5, n_layers=1, extra={"note": ["one"]}
    )
    before = config.to_dict()
    one, other = getattr(minidistil, cls)(config), getattr(minidistil, cls)(config)
    one.resize_token_embeddings(VOCAB + 9)
    one.resize_position_embeddings(7)
    one.prune_heads({0: [1]})
    one.set_attn_implementation("eager")
    one.config.label2id["LABEL_1"] = 0
    one.config.extra["note"].append("two")
    for seen in (config, other.config, other.encoder.config):
        assert seen.to_dict() == before and seen.attn_implementation == "sdpa"
    assert one.encoder.config is one.config and one.config.vocab_size == VOCAB + 9


def test_an_implementation_with_a_state_is_not_copied():
    class Counting:
        calls = 0

        def __call__(self, *args, **options):
            self.calls += 1
            return eager(*args, **options)

    counting = Counting()
    fields = {"vocab_size": VOCAB, "dim": 8, "n_heads": 2, "hidden_dim": 5, "n_layers": 3}
    config = DistilBertConfig(**fields, attn_implementation=counting)
    minidistil.DistilBertForMaskedLM(config)(torch.tensor([[1, 2]]))
    assert counting.calls == 3
