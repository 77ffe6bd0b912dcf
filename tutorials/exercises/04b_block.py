"""Laws of `block(hidden, attention, sa_layer_norm, feed_forward, output_layer_norm)`."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil import DistilBertConfig
from minidistil.learn.laws import Law, assert_close, normal
from minidistil.ops.attention import resolve_attention
from minidistil.transformer import TransformerBlock

HINTS = [
    "Read the two lines beside the two formulas. What does each LayerNorm get, and what is added?",
    "The first residual belongs inside the brackets of its LayerNorm.",
    "The second part reads `attended`, so its residual is `attended`, too.",
]
WRONG = {
    "the first LayerNorm comes before the sum": (
        "sa_layer_norm(attention(hidden) + hidden)",
        "sa_layer_norm(attention(hidden)) + hidden",
    ),
    "the second residual is the block's input": (
        "feed_forward(attended) + attended",
        "feed_forward(attended) + hidden",
    ),
    "the feed-forward network reads the block's input": (
        "feed_forward(attended) + attended",
        "feed_forward(hidden) + attended",
    ),
    "no second residual": ("feed_forward(attended) + attended", "feed_forward(attended)"),
    "one LayerNorm serves twice": ("sa_layer_norm(attention", "output_layer_norm(attention"),
    "pre-LN": (
        "sa_layer_norm(attention(hidden) + hidden)\n"
        "    return output_layer_norm(feed_forward(attended) + attended)",
        "attention(sa_layer_norm(hidden)) + hidden\n"
        "    return feed_forward(output_layer_norm(attended)) + attended",
    ),
    "the input is changed in place": (
        "attention(hidden) + hidden",
        "hidden.add_(attention(hidden))",
    ),
}
EAGER = resolve_attention("eager")


@dataclass(frozen=True)
class Case:
    """Normal hidden states, and a block of the library whose weights are normal, too."""

    batch: int = 1
    length: int = 2
    width: int = 4
    seed: int = 0

    def hidden(self):
        shape = (self.batch, self.length, self.width)
        return normal(self.seed + 1000, shape, torch.float64)

    def block(self):
        config = DistilBertConfig(
            vocab_size=8, n_layers=1, n_heads=2, dim=self.width, hidden_dim=2 * self.width
        )
        block = TransformerBlock(config, 0).double().eval().requires_grad_(False)
        for i, parameter in enumerate(block.parameters()):
            parameter.copy_(normal(self.seed + i, tuple(parameter.shape), torch.float64))
        return block

    def run(self, answer, hidden):
        """The learner's block of the library's parts."""
        theirs = self.block()
        return answer.block(
            hidden,
            lambda x: theirs.attention(x, EAGER)[0],
            theirs.sa_layer_norm,
            theirs.ffn,
            theirs.output_layer_norm,
        )


CASES = st.builds(
    Case,
    batch=st.integers(1, 2),
    length=st.integers(1, 3),
    width=st.sampled_from([4, 6]),
    seed=st.integers(0, 99),
)


def residuals(answer, case):
    """With two parts that give 0, what is left is LayerNorm_2(LayerNorm_1(hidden))."""
    hidden, theirs = case.hidden(), case.block()
    first, second = theirs.sa_layer_norm, theirs.output_layer_norm
    want = second(first(case.hidden()))
    assert_close(answer.block(hidden, torch.zeros_like, first, torch.zeros_like, second), want)


def equals(answer, case):
    """With the parts of the library's block it gives what that block gives."""
    want, _ = case.block()(case.hidden(), EAGER)
    assert_close(case.run(answer, case.hidden()), want)


def untouched(answer, case):
    """The hidden states that it was given are the same afterwards."""
    hidden = case.hidden()
    case.run(answer, hidden)
    assert_close(hidden, case.hidden())


LAWS = [
    Law(residuals, CASES, [Case()]),
    Law(equals, CASES, [Case(2, 3)]),
    Law(untouched, CASES, [Case()]),
]
