"""Which parameters are decayed, and the learning rate at every step."""

import pytest
import torch

from minidistil.training.optimizer import linear_factor, make_optimizer
from tests.helpers.training import tiny_masked_lm


def test_every_layer_norm_and_bias_is_spared_from_decay():
    """Also `sa_layer_norm`, `output_layer_norm` and `vocab_layer_norm`, which the recipe missed."""
    model = tiny_masked_lm()
    decayed, spared = make_optimizer(model, 1e-3, weight_decay=0.1).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.1 and spared["weight_decay"] == 0.0
    for p in decayed["params"]:
        assert "norm" not in names[id(p)].lower() and not names[id(p)].endswith("bias")
    assert len(decayed["params"]) + len(spared["params"]) == len(names)
    assert sum("norm" in names[id(p)].lower() for p in spared["params"]) == 2 * (1 + 2 * 2 + 1)


def test_frozen_parameters_are_left_out():
    model = tiny_masked_lm(sinusoidal_pos_embds=True)
    held = [p for group in make_optimizer(model, 1e-3).param_groups for p in group["params"]]
    assert all(p is not model.get_position_embeddings().weight for p in held)


def test_decay_moves_a_matrix_and_no_norm():
    model = tiny_masked_lm()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = make_optimizer(model, 0.1, weight_decay=0.5)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if p.dim() >= 2 else 1.0
        torch.testing.assert_close(p.detach(), before[name] * factor)


def test_a_step_is_seen_in_the_versions():
    """The fast path watches them: a frozen LayerNorm would not tell it of training."""
    model = tiny_masked_lm()
    optimizer = make_optimizer(model, 1e-3)
    before = [p._version for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert all(p._version > old for p, old in zip(model.parameters(), before, strict=True))


def test_steps_by_hand():
    """Of the paper's algorithm 2, in float64, over steps whose gradients differ."""
    torch.manual_seed(0)
    model = tiny_masked_lm().double()
    optimizer = make_optimizer(model, 0.01, weight_decay=0.1, betas=(0.8, 0.9), eps=1e-4)
    want = {name: (p.detach().clone(), 0.0, 0.0) for name, p in model.named_parameters()}
    for step in range(1, 5):
        for name, p in model.named_parameters():
            p.grad = torch.randn_like(p)
            value, m, v = want[name]
            m, v = 0.8 * m + 0.2 * p.grad, 0.9 * v + 0.1 * p.grad**2
            value = value * (1 - 0.01 * 0.1 * (p.dim() >= 2))
            rise = (m / (1 - 0.8**step)) / ((v / (1 - 0.9**step)).sqrt() + 1e-4)
            want[name] = value - 0.01 * rise, m, v
        optimizer.step()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), want[name][0])


def test_worked_example():
    """Ten steps, two of warm-up: 1/3, 2/3, then 8/8, 7/8, ... and 1/8 for the last."""
    factors = [linear_factor(step, 10, 0.2) for step in range(10)]
    expected = [1 / 3, 2 / 3, *(n / 8 for n in range(8, 0, -1))]
    assert factors == pytest.approx(expected)
    assert linear_factor(10, 10, 0.2) == 0


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 1.0), (3, 0.5), (7, 1.0), (100, 0.05)])
def test_no_step_is_wasted(steps, warmup):
    factors = [linear_factor(step, steps, warmup) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
