"""The bare products: as many as a model has, of its shapes."""

import pytest
import torch

from minidistil.benchmark.floor import Floor, Products, floor, flops
from minidistil.benchmark.saved import Saved
from tests.benchmark.tiny import ROWS, SETTING


def test_flops_by_hand():
    config = SETTING.config(n_layers=1, dim=2, n_heads=1, hidden_dim=3)
    # Four products of 2 x 2 and two of 2 x 3, a multiplication and an addition each.
    assert flops(config, 5) == 5 * 2 * (4 * 4 + 2 * 6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_products_are_those_of_a_model(dtype):
    config = SETTING.config()
    products = Products(config, dtype)
    shapes = [tuple(product.plain().shape) for product in products.products]
    assert shapes == [(32, 32)] * 4 + [(64, 32), (32, 64)] + [(32, 32)] * 4 + [(64, 32), (32, 64)]
    assert {product.dtype for product in products.products} == {getattr(torch, dtype)}
    assert products.bind(3)() is None


def test_a_floor_is_a_peer_without_hidden_states(tmp_path):
    peer = Floor("float32")
    peer.load(Saved(tmp_path, SETTING.config(), threads=1))
    assert peer.missing("cuda") is None and peer.name == "floor float32"
    assert peer.states(peer.run(peer.inputs(ROWS[1]))).shape == (0,)


def test_table():
    (report,) = floor(SETTING)
    assert [(row["work"], row["tokens"], row["dtype"]) for row in report.rows] == [
        (work.name, work.tokens, dtype) for work in ROWS for dtype in ("float32", "bfloat16")
    ]
    assert all(len(row["seconds"]) == 2 and row["GFLOP/s"] > 0 for row in report.rows)
    assert "GFLOP/s" in report.text()
