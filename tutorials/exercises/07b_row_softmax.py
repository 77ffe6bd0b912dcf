"""Laws of the kernel behind `softmax(x)`: right numbers, each read once and written once."""

from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.learn.laws import DEVICE, Law, assert_close, normal, traffic

HINTS = [
    "offs = tl.arange(0, BLOCK) are the lanes; x_ptr + row * N + offs are their addresses.",
    "mask=offs < N for the load and the store; other=float('-inf') for what is masked.",
    "Subtract tl.max(x, 0) before tl.exp, as in 03a.",
]
WRONG = {
    "masked lanes load 0": ('other=float("-inf")', "other=0.0"),
    "the store has no mask": ("y, mask=inside)", "y)"),
    "large logits overflow": ("x - tl.max(x, 0)", "x"),
    "all programs take row 0": ("row = tl.program_id(0)", "row = 0"),
    "the row is loaded twice": (
        "y = weights / tl.sum(weights, 0)",
        'again = tl.load(x_ptr + row * N + offs, mask=inside, other=float("-inf"))\n'
        "    y = tl.exp(again - tl.max(x, 0)) / tl.sum(weights, 0)",
    ),
}


@dataclass(frozen=True)
class Case:
    """Normal logits, times `scale`, plus `shift`."""

    rows: int = 2
    length: int = 3
    scale: float = 1.0
    shift: float = 0.0
    seed: int = 0

    def x(self):
        return (normal(self.seed, (self.rows, self.length)) * self.scale + self.shift).to(DEVICE)


CASES = st.builds(
    Case,
    rows=st.integers(1, 4),
    length=st.integers(1, 40),
    scale=st.sampled_from([1.0, 10.0]),
    shift=st.sampled_from([0.0, 1000.0, -1000.0]),
    seed=st.integers(0, 99),
)


def equals(answer, case):
    """It is PyTorch's softmax over the rows."""
    x = case.x()
    assert_close(answer.softmax(x), x.softmax(-1))


def least_bytes(answer, case):
    """Each number is read once and written once (counted in Triton's interpreter)."""
    x = case.x()
    count = traffic(answer.softmax, x)
    if count is not None:
        want = x.numel() * 4
        assert count == (want, want), (
            f"{count[0]} bytes read, {count[1]} written; {want} each will do"
        )


LAWS = [Law(equals, CASES, [Case()]), Law(least_bytes, CASES)]
