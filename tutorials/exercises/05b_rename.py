"""Laws of `rename(bert)`: every name of a DistilBertModel, every tensor under the right one."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil import DistilBertConfig, DistilBertModel
from minidistil.checkpoints.conversion import NAMES, POSITIONS, SEGMENTS
from minidistil.learn.laws import Law, assert_close, normal

HINTS = [
    "Replace parts of names, long ones first: then no short one is found inside a longer one.",
    "sorted(NAMES, key=len, reverse=True), and name.replace(old, NAMES[old]) for each of them.",
    "Last: pop the segments, and put positions + segments[0] under the name of the positions.",
]
WRONG = {
    "the table is applied in its own order": ("sorted(NAMES, key=len, reverse=True)", "NAMES"),
    "short names first": ("reverse=True", "reverse=False"),
    "the prefix stays": ('.removeprefix("bert.")', ""),
    "the pooler stays": ('if not new.startswith("pooler."):', "if new:"),
    "the segments stay": ("weights.pop(SEGMENTS)", "weights[SEGMENTS]"),
    "the segments are thrown away": (" + segments[0]", ""),
    "the second segment": ("segments[0]", "segments[1]"),
    "all segments are added": ("segments[0]", "segments.sum(0)"),
    "BERT's own positions are changed": (
        "weights[POSITIONS] = weights[POSITIONS] + segments[0]",
        "weights[POSITIONS] += segments[0]",
    ),
}
LAYER = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
]


@dataclass(frozen=True)
class Case:
    """A BERT of so many layers; its tensors are normal and tiny, its names have this prefix."""

    layers: int = 1
    prefix: str = ""
    positions: int = 2
    seed: int = 0

    def bert(self):
        tables = ["word_embeddings", "position_embeddings", "token_type_embeddings"]
        names = [f"embeddings.{table}.weight" for table in tables]
        modules = ["embeddings.LayerNorm", "pooler.dense"]
        modules += [f"encoder.layer.{i}.{part}" for i in range(self.layers) for part in LAYER]
        names += [f"{module}.{kind}" for module in modules for kind in ("weight", "bias")]
        weights = {}
        for i, name in enumerate(names):
            rows = self.positions if name == POSITIONS else 2
            weights[self.prefix + name] = normal(self.seed * 100 + i, (rows, 3))
        return weights


CASES = st.builds(
    Case,
    layers=st.integers(1, 2),
    prefix=st.sampled_from(["", "bert."]),
    positions=st.integers(1, 4),
    seed=st.integers(0, 99),
)
HARD = [Case(), Case(prefix="bert.")]


def renamed(name):
    """As the library does it: its table is in an order that works."""
    for old, new in NAMES.items():
        name = name.replace(old, new)
    return name


def names(answer, case):
    """The names are those of a DistilBertModel with as many layers."""
    config = DistilBertConfig(vocab_size=3, n_layers=case.layers, n_heads=1, dim=2, hidden_dim=2)
    want, got = {*DistilBertModel(config).state_dict()}, {*answer.rename(case.bert())}
    missing, unknown = sorted(want - got), sorted(got - want)
    assert not missing and not unknown, f"missing: {missing[:3]}, unknown: {unknown[:3]}"


def tensors(answer, case):
    """Each tensor is the one that BERT has, and the positions have segment 0 in them."""
    want = {renamed(name): tensor for name, tensor in case.bert().items()}
    want[POSITIONS] = want[POSITIONS] + want[SEGMENTS][0]
    for name, tensor in answer.rename(case.bert()).items():
        try:
            assert_close(tensor, want[name])
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def untouched(answer, case):
    """BERT's dict and its tensors are the same afterwards."""
    bert, before = case.bert(), case.bert()
    answer.rename(bert)
    assert bert.keys() == before.keys(), f"its names have become {sorted(bert)}"
    changed = [name for name in before if not torch.equal(bert[name], before[name])]
    assert not changed, f"changed: {changed}"


LAWS = [Law(names, CASES, HARD), Law(tensors, CASES, HARD), Law(untouched, CASES, HARD)]
