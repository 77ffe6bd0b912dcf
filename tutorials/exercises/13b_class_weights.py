"""Laws of `class_weights(labels, classes)`: rare is heavy, absent is 0, -100 is nothing."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close

HINTS = [
    "First drop the labels of -100; what is left is n.",
    "torch.bincount(counted, minlength=classes) counts every class, the last ones too.",
    "Divide for all classes; then torch.where(counts > 0, ..., 0.0) puts 0 where no label was.",
]
WRONG = {
    "labels of -100 are counted in n": ("counted.numel()", "labels.numel()"),
    "an absent class has infinite weight": ("torch.where(counts > 0, weights, 0.0)", "weights"),
    "only classes that occur are counted": ("(classes * counts)", "((counts > 0).sum() * counts)"),
    "not divided by the number of classes": ("(classes * counts)", "counts"),
    "frequent is heavy": (
        "counted.numel() / (classes * counts)",
        "classes * counts / max(counted.numel(), 1)",
    ),
    "absent classes at the end are left out": (", minlength=classes", ""),
}


@dataclass(frozen=True)
class Case:
    """Labels, and the number of classes."""

    labels: tuple[int, ...] = (0, 0, 1)
    classes: int = 2

    def tensor(self):
        return torch.tensor(self.labels, dtype=torch.int64)

    def counts(self):
        return [self.labels.count(number) for number in range(self.classes)]


CASES = st.builds(
    Case,
    labels=st.lists(st.sampled_from([0, 1, 2, -100]), max_size=8).map(tuple),
    classes=st.integers(3, 5),
)
HARD = [
    Case(),
    Case(classes=3),
    Case((1, 2), 3),
    Case((0, -100, 1, -100), 2),
    Case((-100,), 2),
    Case((), 2),
]


def equals(answer, case):
    """The weight of a class is n / (classes * n_c), or 0 where it does not occur."""
    counts = case.counts()
    want = [sum(counts) / (case.classes * count) if count else 0.0 for count in counts]
    assert_close(answer.class_weights(case.tensor(), case.classes), torch.tensor(want))


def same_share(answer, case):
    """All labels of a class weigh n / classes together, whichever class it is."""
    counts = torch.tensor(case.counts(), dtype=torch.float32)
    share = counts.sum() / case.classes
    weights = answer.class_weights(case.tensor(), case.classes)
    assert_close(weights * counts, torch.where(counts > 0, share, 0.0))


LAWS = [Law(equals, CASES, HARD), Law(same_share, CASES, HARD)]
