"""Surgery: every change leaves a model that runs, saves, loads and trains at its new size."""

import numpy as np
import pytest
import torch

import minidistil
from minidistil.embeddings import sinusoidal_table
from tests.helpers.reference import BATCH, CLASSES, LENGTH, POSITIONS, VOCAB, inputs, labels, pair
from tests.helpers.tolerances import assert_close


def run(model):
    cls = type(model).__name__
    return model(**inputs(cls), **(labels(cls) if cls != "DistilBertModel" else {}))


def reload(model, folder):
    model.save_pretrained(folder)
    return type(model).from_pretrained(folder, attn_implementation="eager")


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", ["k16", "k80-untied"])
def test_more_tokens(cls, name, tmp_path):
    _, model = pair(cls, name)
    old = {n: w.clone() for n, w in model.state_dict().items()}
    embedding = model.resize_token_embeddings(VOCAB + 4)
    assert embedding is model.get_input_embeddings()
    assert model.config.vocab_size == embedding.num_embeddings == VOCAB + 4
    for key, weight in model.state_dict().items():
        if weight.shape == old[key].shape:
            assert torch.equal(weight, old[key])
        else:  # the word embedding, and the projector and its bias
            assert torch.equal(weight[:VOCAB], old[key])
            mean = old[key].mean(0).expand_as(weight[VOCAB:])
            torch.testing.assert_close(weight[VOCAB:], mean)
    given = inputs(cls)
    given["input_ids"][..., 0] = VOCAB + 3
    assert_close(reload(model, tmp_path)(**given)[0], model(**given)[0])
    if cls != "DistilBertModel":
        run(model).loss.backward()
        assert embedding.weight.grad is not None
    if cls == "DistilBertForMaskedLM":
        assert run(model).logits.shape == (BATCH, LENGTH, VOCAB + 4)
        tied = model.vocab_projector.weight is embedding.weight
        assert tied == model.config.tie_word_embeddings


@pytest.mark.parametrize(
    ("tokens", "multiple", "rows"), [(None, 64, 64), (65, 64, 128), (50, 8, 56)]
)
def test_a_multiple(tokens, multiple, rows):
    _, model = pair("DistilBertForMaskedLM", "k16")
    model.resize_token_embeddings(tokens, pad_to_multiple_of=multiple)
    assert model.get_input_embeddings().weight.shape[0] == model.config.vocab_size == rows
    assert model.vocab_projector.bias.shape == (rows,)


def test_fewer_tokens():
    _, model = pair("DistilBertForMaskedLM", "k16")
    old = model.get_input_embeddings().weight.clone()
    model.resize_token_embeddings(10)
    assert torch.equal(model.get_input_embeddings().weight, old[:10])
    assert model(torch.randint(10, (1, 4))).logits.shape == (1, 4, 10)
    with pytest.raises(ValueError, match="input_ids holds 10"):
        model(torch.tensor([[10]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "new_num_tokens=0 is no whole number from 1 up"),
        ((70.0,), "new_num_tokens=70.0 is no whole number"),
        ((True,), "new_num_tokens=True is no whole number"),
        ((5, 0), "pad_to_multiple_of=0 is no whole number from 1 up"),
        ((5, 8.0), "pad_to_multiple_of=8.0 is no whole number"),
    ],
)
def test_sizes_of_tokens_that_make_no_sense(arguments, message):
    _, model = pair("DistilBertModel", "k16")
    with pytest.raises(ValueError, match=message):
        model.resize_token_embeddings(*arguments)
    assert model.config.vocab_size == VOCAB


def test_the_padding_row_cannot_be_cut_off():
    _, model = pair("DistilBertModel", "k16", pad_token_id=30)
    for rows in (20, 30):  # 30 tokens are 0 to 29
        with pytest.raises(ValueError, match=f"{rows} tokens leave no row for pad_token_id=30"):
            model.resize_token_embeddings(rows)
    assert model.resize_token_embeddings(31).num_embeddings == 31


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", ["k16", "k32-sinusoidal"])
def test_more_positions_run_at_the_new_length(cls, name, tmp_path):
    """In the reference the model still fails beyond the old length, and sinusoidal ones crash."""
    _, model = pair(cls, name)
    old = model.get_position_embeddings().weight.clone()
    model.resize_position_embeddings(80)
    weight = model.get_position_embeddings().weight
    assert torch.equal(weight[:POSITIONS], old)
    shape = (1, 2, 75) if "Choice" in cls else (1, 75)
    ids = torch.randint(VOCAB, shape)
    output = model(ids)[0]
    assert output.isfinite().all()
    again = reload(model, tmp_path)
    assert again.config.max_position_embeddings == 80
    assert_close(again(ids)[0], output)
    if model.config.sinusoidal_pos_embds:
        assert torch.equal(weight, sinusoidal_table(80, model.config.dim))
        assert not weight.requires_grad
    else:
        assert weight[POSITIONS:].std().item() == pytest.approx(0.02, rel=0.1)
        assert weight.requires_grad


def test_fewer_positions():
    _, model = pair("DistilBertModel", "k16")
    short = torch.randint(VOCAB, (2, 6))
    expected = model(short)[0]
    model.resize_position_embeddings(6)
    assert torch.equal(model(short)[0], expected)
    with pytest.raises(ValueError, match="7 tokens is longer than max_position_embeddings=6"):
        model(torch.zeros(1, 7, dtype=torch.long))
    for size in (0, 20.0):
        with pytest.raises(ValueError, match=f"new_num_position_embeddings={size} is no whole"):
            model.resize_position_embeddings(size)


@pytest.mark.parametrize(
    "number", [np.int64, np.uint8, torch.tensor], ids=lambda kind: kind.__name__
)
def test_sizes_of_other_types(number, tmp_path):
    """They are stored as Python's, or JSON could not write them."""
    _, model = pair("DistilBertForMaskedLM", "k16")
    model.resize_token_embeddings(number(VOCAB + 1), pad_to_multiple_of=number(8))
    model.resize_position_embeddings(number(30))
    config = reload(model, tmp_path).config
    assert (config.vocab_size, config.max_position_embeddings) == (-(-(VOCAB + 1) // 8) * 8, 30)


@pytest.mark.parametrize("cls", CLASSES)
def test_pruning(cls, tmp_path):
    """Pruned is masked; a second pruning counts heads as before the first; both are saved."""
    _, model = pair(cls, "k32-sinusoidal")
    given = inputs(cls)
    head_mask = torch.tensor([[0.0, 1, 0], [1, 1, 0]])
    before = model.num_parameters()
    with torch.no_grad():
        expected = model(**given, head_mask=head_mask)[0]
        model.prune_heads({0: [0], 1: [2]})
        model.prune_heads({0: [0, 2]})
        assert model.config.pruned_heads == {0: [0, 2], 1: [2]}
        # Each head is K rows with bias in q, k and v, and K columns in the output projection.
        assert before - model.num_parameters() == 3 * 32 * (3 * 97 + 96)
        assert_close(model(**given)[0], expected)
        assert_close(reload(model, tmp_path)(**given)[0], expected)


@pytest.mark.parametrize("heads", [{2: [0]}, {0: [3]}, {0: [0, 1, 2]}, {0: [-1]}])
def test_heads_that_are_not_there(heads):
    _, model = pair("DistilBertModel", "k32-sinusoidal")
    before = model.num_parameters()
    with pytest.raises(ValueError, match="pruned_heads"):
        model.prune_heads({1: [0]} | heads)
    assert model.num_parameters() == before and model.config.pruned_heads == {}


def test_frozen_weights_stay_frozen():
    _, model = pair("DistilBertModel", "k16")
    model.get_input_embeddings().weight.requires_grad_(False)
    model.resize_token_embeddings(VOCAB + 1)
    assert not model.get_input_embeddings().weight.requires_grad


def test_half_precision_keeps_its_dtype():
    model = minidistil.DistilBertForMaskedLM(
        minidistil.DistilBertConfig(vocab_size=VOCAB, dim=8, n_heads=2, n_layers=1)
    ).to(torch.bfloat16)
    model.resize_token_embeddings(VOCAB + 3)
    model.resize_position_embeddings(600)
    model.prune_heads({0: [1]})
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("heads", [iter([1]), torch.tensor([1]), (1,), {1}, range(1, 2)])
def test_heads_given_in_any_form(heads, tmp_path):
    _, model = pair("DistilBertModel", "k32-sinusoidal")
    model.prune_heads({0: heads})
    assert model.config.pruned_heads == {0: [1]}
    assert model.transformer.layer[0].attention.heads == [0, 2]
    reload(model, tmp_path)


def test_pruning_keeps_frozen_weights_frozen():
    _, model = pair("DistilBertModel", "k32-sinusoidal")
    model.requires_grad_(False).prune_heads({0: [1]})
    assert model.num_parameters(only_trainable=True) == 0
