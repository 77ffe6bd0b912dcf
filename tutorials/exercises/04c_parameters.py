"""Laws of `count_parameters(...)`: the library's own count, and the published one."""

from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil import DistilBertConfig, DistilBertForMaskedLM, DistilBertModel
from minidistil.learn.laws import Law

HINTS = [
    "Three sums: the embeddings, one block (times n_layers), and the head if it is wanted.",
    "A block with D = 4, F = 6: 4 * 20 in attention, 30 + 28 in the network, 2 * 8 in LayerNorms.",
    "Of the head's projection only the bias is new: V numbers.",
]
WRONG = {
    "linear layers without bias": ("square = dim * dim + dim", "square = dim * dim"),
    "the tied weight is counted twice": ("norm + vocab_size", "norm + vocab_size * (dim + 1)"),
    "the projection has no bias": ("head = square + norm + vocab_size", "head = square + norm"),
    "no LayerNorm after the embeddings": ("embeddings) * dim + norm", "embeddings) * dim"),
    "one LayerNorm a block": ("feed_forward + norm", "feed_forward"),
    "a LayerNorm without bias": ("norm = 2 * dim", "norm = dim"),
    "the output projection is left out": ("4 * square", "3 * square"),
    "both biases of the network are D wide": (
        "dim * hidden_dim + hidden_dim",
        "dim * hidden_dim + dim",
    ),
}


@dataclass(frozen=True)
class Case:
    """The numbers of a config."""

    vocab_size: int = 3
    max_position_embeddings: int = 2
    dim: int = 2
    hidden_dim: int = 3
    n_layers: int = 1
    masked_lm: bool = False

    def counted(self, answer):
        return answer.count_parameters(
            self.vocab_size,
            self.max_position_embeddings,
            self.dim,
            self.hidden_dim,
            self.n_layers,
            masked_lm=self.masked_lm,
        )


CASES = st.builds(
    Case,
    vocab_size=st.integers(1, 9),
    max_position_embeddings=st.integers(1, 9),
    dim=st.integers(1, 6),
    hidden_dim=st.integers(1, 9),
    n_layers=st.integers(1, 3),
    masked_lm=st.booleans(),
)
HARD = [Case(), Case(7, 5, 4, 6, 2, masked_lm=True)]
BASE = Case(30522, 512, 768, 3072, 6)  # distilbert-base-uncased
PUBLISHED = {
    BASE: 66_362_880,
    Case(30522, 512, 768, 3072, 6, masked_lm=True): 66_985_530,
}


def equals(answer, case):
    """It is what num_parameters() of such a model says."""
    config = DistilBertConfig(
        vocab_size=case.vocab_size,
        max_position_embeddings=case.max_position_embeddings,
        dim=case.dim,
        hidden_dim=case.hidden_dim,
        n_layers=case.n_layers,
        n_heads=1,
    )
    model = DistilBertForMaskedLM(config) if case.masked_lm else DistilBertModel(config)
    got, want = case.counted(answer), model.num_parameters()
    assert got == want, f"it is {got}, wanted is {want}"


def published(answer, case):
    """It is the published count of distilbert-base-uncased, to the last parameter."""
    got, want = case.counted(answer), PUBLISHED[case]
    assert got == want, f"it is {got}, wanted is {want}"


LAWS = [Law(equals, CASES, HARD), Law(published, st.sampled_from([*PUBLISHED]), [*PUBLISHED])]
