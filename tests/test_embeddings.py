"""Embeddings: the sum, the fixed table, the bounds."""

import math

import numpy as np
import pytest
import torch
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

from minidistil import DistilBertConfig
from minidistil.embeddings import Embeddings, sinusoidal_table


def embeddings(**fields):
    shape = {"vocab_size": 7, "max_position_embeddings": 5, "dim": 8, "n_heads": 2}
    return Embeddings(DistilBertConfig(**shape | fields)).eval()


def test_a_sum_then_layer_norm():
    """(word + position - mean) / std, by hand."""
    module = embeddings()
    ids, positions = torch.tensor([[3, 1]]), torch.tensor([[0, 4]])
    words, places = module.word_embeddings.weight, module.position_embeddings.weight
    total = torch.stack([words[3] + places[0], words[1] + places[4]])[None]
    mean, variance = total.mean(-1, keepdim=True), total.var(-1, unbiased=False, keepdim=True)
    expected = (total - mean) / variance.sqrt()
    torch.testing.assert_close(module(ids, None, positions), expected)
    torch.testing.assert_close(module(None, words[ids], positions), expected)


def test_the_sinusoidal_table_against_its_formula():
    """Computed here number by number, in Python's double precision."""
    length, dim = 40, 9
    expected = np.zeros((length, dim))
    for p in range(length):
        for j in range(dim):
            angle = p / 10000 ** (2 * (j // 2) / dim)
            expected[p, j] = math.sin(angle) if j % 2 == 0 else math.cos(angle)
    table = sinusoidal_table(length, dim)
    torch.testing.assert_close(table, torch.tensor(expected).float(), rtol=0, atol=6e-8)


@pytest.mark.parametrize(("length", "dim"), [(512, 768), (33, 10)])
def test_the_sinusoidal_table_is_the_references_to_the_bit(length, dim):
    expected = torch.empty(length, dim)
    create_sinusoidal_embeddings(length, dim, expected)
    assert torch.equal(sinusoidal_table(length, dim), expected)


def test_the_padding_row_gets_no_gradient():
    module = embeddings(pad_token_id=2)
    module(torch.tensor([[2, 3]]), None, torch.tensor([[0, 1]])).square().sum().backward()
    assert (module.word_embeddings.weight.grad[2] == 0).all()
    assert module.word_embeddings.weight.grad.shape == (7, 8)
    embeddings(pad_token_id=None)(torch.tensor([[0]]), None, torch.tensor([[0]]))


@pytest.mark.parametrize(
    ("ids", "positions", "message"),
    [
        ([[7]], [[0]], "input_ids holds 7, expected 0 to 6: .*resize_token_embeddings"),
        ([[-1]], [[0]], "input_ids holds -1"),
        ([[1]], [[5]], "position_ids holds 5, expected 0 to 4: .*resize_position_embeddings"),
    ],
)
def test_out_of_range(ids, positions, message):
    with pytest.raises(ValueError, match=message):
        embeddings()(torch.tensor(ids), None, torch.tensor(positions))


@pytest.mark.parametrize(
    ("own", "given"),
    [
        (torch.float32, torch.float64),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.bfloat16),
    ],
)
def test_embeddings_of_a_wider_dtype(own, given):
    module = embeddings().to(own)
    message = f"inputs_embeds is {given}, wider than the model's {own}: cast it"
    with pytest.raises(ValueError, match=message):
        module(None, torch.zeros(1, 2, 8, dtype=given), torch.tensor([[0, 1]]))
    assert module(None, torch.zeros(1, 2, 8, dtype=own), torch.tensor([[0, 1]])).dtype == own
