"""Laws of `scaled_softmax(x, factor)`: right numbers, x read once, y written once."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import DEVICE, Law, assert_close, normal, traffic

HINTS = [
    "The kernel has the scaled row at hand: instead of storing it, go on with its softmax.",
    "tl.where(inside, ..., float('-inf')), with the scaled row in it; from there it is 07b.",
    "With the softmax in the kernel, y is the result: no second launch is left.",
]
WRONG = {
    "masked lanes take part": ('tl.where(inside, x * factor, float("-inf"))', "x * factor"),
    "masked lanes are -inf before the scaling": (
        'offs, mask=inside)\n    logits = tl.where(inside, x * factor, float("-inf"))',
        'offs, mask=inside, other=float("-inf"))\n    logits = x * factor',
    ),
    "x is scaled before the launch": ("(x, y, factor, length", "(x * factor, y, 1.0, length"),
    "the factor is left out": ("inside, x * factor,", "inside, x,"),
    "the weights are scaled, not the logits": (
        "y = weights / tl.sum(weights, 0)",
        "y = weights / tl.sum(weights, 0) * factor",
    ),
    "large logits overflow": ("tl.exp(logits - tl.max(logits, 0))", "tl.exp(logits)"),
    "the row is loaded twice": (
        "    y = weights / tl.sum(weights, 0)",
        "    again = tl.load(x_ptr + row * N + offs, mask=inside) * factor\n"
        "    y = tl.exp(again - tl.max(logits, 0)) / tl.sum(weights, 0)",
    ),
}


@dataclass(frozen=True)
class Case:
    """Normal numbers plus `shift`, and the factor."""

    rows: int = 2
    length: int = 3
    factor: float = 1.0
    shift: float = 0.0
    seed: int = 0

    def x(self):
        return normal(self.seed, (self.rows, self.length)) + self.shift


CASES = st.builds(
    Case,
    rows=st.integers(1, 4),
    length=st.integers(1, 40),
    factor=st.sampled_from([1.0, 0.125, 8.0, 0.0, -1.0]),
    shift=st.sampled_from([0.0, 1000.0, -1000.0]),
    seed=st.integers(0, 99),
)
HARD = [Case(), Case(factor=8.0), Case(factor=-1.0), Case(factor=0.0), Case(shift=1000.0)]


def equals(answer, case):
    """It is PyTorch's softmax of factor * x over the rows, and x stays as it is."""
    x = case.x().to(DEVICE)
    before = x.clone()
    assert_close(answer.scaled_softmax(x, case.factor), (before * case.factor).softmax(-1))
    assert torch.equal(x, before), "x has changed"


def least_bytes(answer, case):
    """Each number is read once and written once (counted in Triton's interpreter)."""
    x = case.x().to(DEVICE)
    count = traffic(answer.scaled_softmax, x, case.factor)
    if count is not None:
        want = x.numel() * 4
        assert count == (want, want), (
            f"{count[0]} bytes read, {count[1]} written; {want} each will do"
        )


def reads_x(answer, case):
    """The kernel reads x itself, not something that was made of it before."""
    x = case.x()
    read = addresses_read(answer.scaled_softmax, x, case.factor)
    assert read is None or read == {x.data_ptr()}, "a tensor other than x is read"


def addresses_read(fn, *inputs):
    """Where the tensors begin that the kernels of a call read; None where they are compiled."""
    from minidistil_kernels import interpreter
    from minidistil_kernels.lab.events import Observer
    from minidistil_kernels.lab.hooks import observe

    if not interpreter.INTERPRETING:
        return None
    found = set()

    class Listener(Observer):
        def accessed(self, launch, access):
            if access.kind == "load" and access.argument is not None:
                found.add(access.argument.tensor.data_ptr())

    with observe(Listener()):
        fn(*inputs)
    return found


LAWS = [Law(equals, CASES, HARD), Law(least_bytes, CASES), Law(reads_x, CASES, [Case()])]
