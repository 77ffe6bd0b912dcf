"""Laws of `sinusoid(length, width)`: DistilBERT's own table, to the last digit."""

from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.embeddings import sinusoidal_table
from minidistil.learn.laws import Law, assert_close

HINTS = [
    "Positions as a column (length, 1), columns as a row (D,): their quotient is (length, D).",
    "columns // 2 is k. Give torch.arange dtype=torch.float64: else the power is in float32.",
    "torch.where(columns % 2 == 0, sines, cosines), and .float() at the very end.",
]
WRONG = {
    "all sines in front of all cosines": ("columns % 2 == 0", "columns < width / 2"),
    "cosine where the sine belongs": ("columns % 2 == 0", "columns % 2 == 1"),
    "each column has a wavelength of its own": ("2 * (columns // 2)", "columns"),
    "the exponent is k / D": ("2 * (columns // 2)", "(columns // 2)"),
    "positions start at 1": ("positions / 10000.0", "(positions + 1) / 10000.0"),
    "angles in float32": (
        "angles.sin(), angles.cos()",
        "angles.float().sin(), angles.float().cos()",
    ),
}


@dataclass(frozen=True)
class Case:
    """Positions, and the width of the table."""

    length: int = 3
    width: int = 4

    def explain(self, place):
        """Where the number that is wanted at a place comes from."""
        position, column = place
        exponent = column // 2 * 2
        name = "cos" if column % 2 else "sin"
        return (
            f"column {column} has k = {column // 2}, so it is {name}({position} / "
            f"10000^({exponent} / {self.width})) = "
            f"{name}({position / 10000 ** (exponent / self.width):.6g})"
        )


SMALL = st.builds(Case, length=st.integers(1, 6), width=st.integers(1, 9))
LONG = st.builds(Case, length=st.integers(400, 512), width=st.integers(8, 16))
EVEN = st.builds(Case, length=st.integers(1, 6), width=st.integers(1, 5).map(lambda n: 2 * n))


def equals(answer, case):
    """Row p has the sine of p / 10000^(2k / D) in each even column, the cosine in each odd one."""
    want = sinusoidal_table(case.length, case.width)
    assert_close(answer.sinusoid(case.length, case.width), want, explain=case.explain)


def last_digits(answer, case):
    """Late positions are as exact as early ones."""
    want = sinusoidal_table(case.length, case.width)
    assert_close(answer.sinusoid(case.length, case.width), want, 1e-6, case.explain)


def distance(answer, case):
    """The product of two rows depends only on how far apart they are."""
    table = answer.sinusoid(case.length, case.width).double()
    products = table @ table.T
    for apart in range(case.length):
        same = products.diagonal(apart)
        assert_close(same, same[:1].expand_as(same))


LAWS = [
    Law(equals, SMALL, [Case(), Case(4, 5), Case(1, 1)]),
    Law(last_digits, LONG, [Case(512, 16)]),
    Law(distance, EVEN, [Case()]),
]
