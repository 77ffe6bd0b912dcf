"""The floor: the bare matrix products of an encoder, which no implementation can do without.

    N tokens --query, key, value, out, lin1, lin2 of every block--> seconds

Each product has a weight of its own, laid out beforehand as the fast path's are, and its input
ready in its dtype. What a model takes longer than that is attention, LayerNorm, GELU, sums,
padding, copies and bookkeeping; docs/benchmarks.md reads the ratio. An engine below 1 has faster
products than PyTorch has.

Not here: attention's own two products, which grow with the square of the lengths and which fused
kernels leave no trace of.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from minidistil.benchmark.peers import Peer
from minidistil.benchmark.report import TIMES, Report, milliseconds
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.timing import interleaved, spread
from minidistil.benchmark.work import Setting, Work
from minidistil.config import DistilBertConfig
from minidistil.inference.linear import PackedLinear

DTYPES = ("float32", "bfloat16")


def flops(config: DistilBertConfig, tokens: int) -> int:
    """Multiplications and additions of the products for N tokens: 2 N L (4 D^2 + 2 D F)."""
    return 2 * tokens * config.n_layers * (4 * config.dim**2 + 2 * config.dim * config.hidden_dim)


class Products:
    """The six products of every block, in one dtype, without all that is between them.

    Args:
        config: Gives L, D and F.
        dtype: "float32" or "bfloat16", of input, weight and result.
        device: Where the weights are.
    """

    def __init__(self, config: DistilBertConfig, dtype: str, device: str = "cpu") -> None:
        wide, inner = config.dim, config.hidden_dim
        shapes = [(wide, wide)] * 4 + [(wide, inner), (inner, wide)]
        self.dtype, self.device = getattr(torch, dtype), device
        self.products = [
            PackedLinear([nn.Linear(*shape, device=device)], dtype)
            for _ in range(config.n_layers)
            for shape in shapes
        ]
        self.widths = [columns for _ in range(config.n_layers) for columns, _ in shapes]

    def bind(self, tokens: int) -> Callable[[], None]:
        """The products for N tokens, ready to run; they return nothing."""
        inputs = {
            width: torch.randn(tokens, width).to(self.device, self.dtype)
            for width in {*self.widths}
        }

        @torch.inference_mode()
        def run() -> None:
            for product, width in zip(self.products, self.widths, strict=True):
                product(inputs[width])

        return run


class Floor(Peer):
    """The products as a candidate among others, in a process of its own."""

    on_gpu = True

    def __init__(self, dtype: str) -> None:
        self.dtype, self.name = dtype, f"floor {dtype}"

    def load(self, saved: Saved) -> None:
        """Lay out the weights."""
        self.products = Products(saved.config, self.dtype, saved.device)

    def inputs(self, work: Work) -> Callable[[], None]:
        """The products of the real tokens."""
        return self.products.bind(work.tokens)

    def run(self, inputs: Callable[[], None]) -> None:
        """All of them, once."""
        inputs()

    def states(self, output: None) -> Tensor:
        """None: (0,)."""
        return torch.empty(0)


def floor(setting: Setting) -> list[Report]:
    """Time of the bare products for each row of work, without its padding."""
    config = setting.config()
    products = {dtype: Products(config, dtype, setting.device) for dtype in DTYPES}
    rows = []
    for work in setting.rows:
        runs = {dtype: products[dtype].bind(work.tokens) for dtype in DTYPES}
        times = interleaved(runs, setting.rounds, device=setting.device, rest=setting.rest)
        for dtype, values in times.items():
            taken = spread(values)
            rate = flops(config, work.tokens) / taken.median / 1e9
            row = {"work": work.name, "tokens": work.tokens, "dtype": dtype, "GFLOP/s": rate}
            rows.append(row | milliseconds(taken) | {"seconds": values})
    columns = {"work": "", "tokens": "d", "dtype": "", **TIMES, "GFLOP/s": ".0f"}
    return [Report("The bare matrix products", columns, rows)]
