"""The bytes that each kernel's docstring states, metered, forward and backward.

Attention's are in `test_attention.py`, where its tiles matter, and softmax's in `test_softmax.py`.
Sizes are odd, so that the last tile is ragged; e is the bytes of an element, i those of an id.
"""

from importlib import import_module

import pytest
import torch

import minidistil_kernels as ours
from minidistil_kernels.lab import meter
from minidistil_kernels.testing import drawing
from tests.helpers.kernels import interpreted

# A function of the package hides the module it is in.
add_layer_norm, cross_entropy, distillation_loss, linear_cross_entropy, linear_gelu = (
    import_module(f"minidistil_kernels.{name}")
    for name in (
        "add_layer_norm", "cross_entropy", "distillation_loss", "linear_cross_entropy",
        "linear_gelu",
    )
)  # fmt: skip
sums = import_module("minidistil_kernels.sum_rows_by_id")


def tiles(length, block):
    return -(-length // block)


def leaf(dtype, *shape):
    return drawing.normal(len(shape), shape, dtype).requires_grad_()


def of_add_layer_norm(dtype):
    """More rows than programs of the backward; w and b are asked for by every program."""
    R, D, e = 300, 37, dtype.itemsize
    P = min(R, add_layer_norm.PARTIALS)
    output = ours.add_layer_norm, [leaf(dtype, *s) for s in ((R, D), (R, D), (D,), (D,))]
    return *output, {
        "add_layer_norm_forward": (2 * R * D * e + 2 * R * D * e, R * D * e),
        "add_layer_norm_backward": (3 * R * D * e + P * D * e, R * D * e + 8 * P * D),
    }


def of_linear_gelu(dtype):
    R, D, F, e = 70, 19, 131, dtype.itemsize
    tile = linear_gelu.SINGLE_TILE if e == 4 else linear_gelu.HALF_TILE
    TR, TF = tiles(R, tile["BLOCK_R"]), tiles(F, tile["BLOCK_F"])
    inputs = [leaf(dtype, *s) for s in ((R, D), (F, D), (F,))]
    return (
        ours.linear_gelu,
        inputs,
        {
            "linear_gelu_forward": ((TF * R * D + TR * F * D + TR * F) * e, 2 * R * F * e),
            "gelu_backward": (2 * R * F * e, R * F * e),
        },
    )


def of_embedding_layer_norm(dtype):
    """Five different ids in two blocks of columns; int32 with half precision."""
    ids = torch.tensor([0, 1, 1, 3, 3, 3, 0, 2, 4, 4, 1])
    ids = ids.to(drawing.DEVICE, torch.int64 if dtype == torch.float32 else torch.int32)
    D = sums.RUN_TILE["BLOCK_D"] + 44
    N, e, i, runs, columns = len(ids), dtype.itemsize, ids.itemsize, 5, 2
    places = torch.arange(N, device=drawing.DEVICE, dtype=ids.dtype)
    position = leaf(dtype, 12, D).detach()  # one table with a gradient, one sum
    inputs = [ids, places, leaf(dtype, 9, D), position, leaf(dtype, D), leaf(dtype, D)]
    return ours.embedding_layer_norm, inputs, {
        "embedding_layer_norm_forward": (
            2 * N * D * e + 2 * N * i + 2 * N * D * e, N * D * e
        ),
        "embedding_layer_norm_backward": (
            3 * N * D * e + 2 * N * i + N * D * e, N * D * e + 8 * N * D
        ),
        "sum_runs": (
            N * D * e + ((2 * N - 1) * i + 8 * N + 8 * runs) * columns, runs * D * e
        ),
    }  # fmt: skip


def labels(N, V):
    """N labels, the second and the last of which do not count."""
    chosen = torch.arange(N, device=drawing.DEVICE) * (V - 1) // N
    chosen[[1, -1]] = -100
    return chosen


def of_cross_entropy(dtype):
    N, V, C, e = 5, 5001, 3, dtype.itemsize
    t = tiles(V, cross_entropy.MAX_BLOCK_V)
    return (
        ours.cross_entropy,
        [leaf(dtype, N, V), labels(N, V)],
        {
            "cross_entropy_forward": (C * (V + 1) * e + 8 * N, 12 * N),
            "cross_entropy_backward": (C * V * e + 20 * N * t, N * V * e),
        },
    )


def of_linear_cross_entropy(dtype):
    N, V, D, e = 70, 4300, 5, dtype.itemsize
    module = linear_cross_entropy
    tile = module.FLOAT_TILE if e == 4 else module.HALF_TILE
    n, v, s = tiles(N, tile["BLOCK_N"]), tiles(V, tile["BLOCK_V"]), tiles(V, module.SLICE_V)
    inputs = [leaf(dtype, N, D), leaf(dtype, V, D), leaf(dtype, V), labels(N, V)]
    product = (N * v + V * n) * D * e + V * n * e
    return (
        ours.linear_cross_entropy,
        inputs,
        {
            "linear_cross_entropy_forward": (product + 8 * N * s, 12 * N * s),
            "linear_cross_entropy_backward": (product + 20 * N * v, N * v * tile["BLOCK_V"] * e),
        },
    )


def of_distillation_loss(dtype):
    N, V, L, e = 5, 5001, 3, dtype.itemsize
    t = tiles(V, distillation_loss.MAX_BLOCK_V)
    inputs = [leaf(dtype, N, V), leaf(dtype, N, V).detach(), labels(N, V)]
    return (
        ours.distillation_loss,
        inputs,
        {
            "distillation_forward": (2 * N * V * e + 8 * N + L * e, 28 * N),
            "distillation_backward": (2 * N * V * e + 36 * N * t, N * V * e),
        },
    )


def of_distillation_loss_without_labels(dtype):
    function, (student, teacher, _), _ = of_distillation_loss(dtype)
    (N, V), e = student.shape, dtype.itemsize
    t = tiles(V, distillation_loss.MAX_BLOCK_V)
    return (
        function,
        [student, teacher],
        {
            "distillation_forward": (2 * N * V * e, 20 * N),
            "distillation_backward": (2 * N * V * e + 20 * N * t, N * V * e),
        },
    )


def of_cosine_loss(dtype):
    N, D, C, e = 6, 37, 4, dtype.itemsize
    mask = torch.tensor([True, False, True, True, False, True], device=drawing.DEVICE)
    return (
        ours.cosine_loss,
        [leaf(dtype, N, D), leaf(dtype, N, D).detach(), mask],
        {
            "cosine_forward": (2 * C * D * e + N, 12 * N),
            "cosine_backward": (2 * C * D * e + 13 * N, N * D * e),
        },
    )


@interpreted
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(
    "case",
    [
        of_add_layer_norm,
        of_linear_gelu,
        of_embedding_layer_norm,
        of_cross_entropy,
        of_linear_cross_entropy,
        of_distillation_loss,
        of_distillation_loss_without_labels,
        of_cosine_loss,
    ],
    ids=lambda case: case.__name__.removeprefix("of_"),
)
def test_traffic(case, dtype):
    """(loaded, stored) of every kernel launched."""
    function, inputs, expected = case(dtype)
    with meter() as m:
        result = function(*inputs)
        (result[0] if isinstance(result, tuple) else result).sum().backward()
    counted = {
        name.removesuffix("_kernel"): (counts.bytes_loaded, counts.bytes_stored)
        for name, counts in m.kernels.items()
    }
    assert counted == expected
