"""Laws of `student_weights(teacher, layers)`: right names, right numbers, nothing shared."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close

HINTS = [
    "First everything whose name holds no transformer.layer. at all, then the layers one by one.",
    "enumerate(layers) has the new number and the old one; mind the dot behind it: 1 is not 11.",
    "name.replace(old prefix, new prefix) for the name, .clone() for the tensor.",
]
WRONG = {
    "the old numbers are kept": ('f"transformer.layer.{new}."', "prefix"),
    "layers are shared with the teacher": ("weight.clone()", "weight"),
    "the embeddings are shared with the teacher": ("{k: w.clone() for", "{k: w for"),
    "layers are put in order": ("enumerate(layers)", "enumerate(sorted(layers))"),
    "a layer chosen twice is there once": ("enumerate(layers)", "enumerate(dict.fromkeys(layers))"),
    "1 is 10 and 11, too": ("if prefix in k}", "if prefix[:-1] in k}"),
    "an unknown layer is passed over": ("if not block:", "if False:"),
    "what is outside of the layers is left out": ('"transformer.layer." not in k', "False"),
}
PARTS = ["attention.q_lin.weight", "ffn.lin1.bias"]


@dataclass(frozen=True)
class Case:
    """A teacher of `depth` layers, whose names begin with `front`; the layers of the student."""

    depth: int = 3
    layers: tuple[int, ...] = (0, 2)
    front: str = ""

    def teacher(self):
        """No two tensors hold the same number."""
        names = [
            "embeddings.word_embeddings.weight",
            "embeddings.LayerNorm.bias",
            *(f"transformer.layer.{layer}.{p}" for layer in range(self.depth) for p in PARTS),
        ]
        return {
            self.front + name: torch.full((2,), float(number)) for number, name in enumerate(names)
        }


CASES = st.integers(1, 12).flatmap(
    lambda depth: st.builds(
        Case,
        depth=st.just(depth),
        layers=st.lists(st.integers(0, depth - 1), min_size=1, max_size=4).map(tuple),
        front=st.sampled_from(["", "distilbert."]),
    )
)
HARD = [
    Case(),
    Case(layers=(2, 0)),
    Case(layers=(1, 1)),
    Case(depth=12, layers=(1, 11)),
    Case(front="distilbert."),
]


def names_and_numbers(answer, case):
    """The student has the chosen layers under new numbers, and all else as it was."""
    teacher, want = case.teacher(), {}
    for name in ("embeddings.word_embeddings.weight", "embeddings.LayerNorm.bias"):
        want[case.front + name] = teacher[case.front + name]
    for new, old in enumerate(case.layers):
        for part in PARTS:
            of_old = teacher[f"{case.front}transformer.layer.{old}.{part}"]
            want[f"{case.front}transformer.layer.{new}.{part}"] = of_old
    got = answer.student_weights(teacher, case.layers)
    assert set(got) == set(want), (
        f"missing are {sorted(set(want) - set(got))}, too many {sorted(set(got) - set(want))}"
    )
    for name, weight in want.items():
        assert torch.equal(got[name], weight), f"{name} is {got[name]}, wanted is {weight}"
        assert_close(got[name], weight)


def nothing_shared(answer, case):
    """Nothing of the student shares its memory with the teacher, or with another part of it."""
    teacher = case.teacher()
    student = answer.student_weights(teacher, case.layers)
    seen = {weight.data_ptr(): f"the teacher's {name}" for name, weight in teacher.items()}
    for name, weight in student.items():
        other = seen.setdefault(weight.data_ptr(), name)
        assert other == name, f"{name} shares its memory with {other}"


def unknown_layer(answer, case):
    """A layer that the teacher does not have is a ValueError."""
    for layer in (case.depth, -1):
        try:
            answer.student_weights(case.teacher(), (0, layer))
        except ValueError:
            continue
        raise AssertionError(f"layer {layer} is taken without a word")


LAWS = [
    Law(names_and_numbers, CASES, HARD),
    Law(nothing_shared, CASES, HARD),
    Law(unknown_layer, CASES, [Case(depth=1, layers=(0,))]),
]
