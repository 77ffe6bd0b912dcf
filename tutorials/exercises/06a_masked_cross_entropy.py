"""Laws of `masked_cross_entropy(logits, labels)`: the library's loss, and its gradient."""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law, assert_close, normal
from minidistil.ops.layers import cross_entropy

HINTS = [
    "Take the rows that count first, logits[labels != -100]: after that nothing is masked.",
    "m is the largest logit of a row; rows.gather(-1, targets[:, None]) are those of the labels.",
    "A sum over no rows is 0, and so is its gradient. Divide it by at least 1.",
]
WRONG = {
    "large logits overflow": (
        "rows.amax(-1, keepdim=True)",
        "torch.zeros_like(rows[:, :1])",
    ),
    "the largest logit is not added again": ("largest + (rows", "(rows"),
    "the mean is over all rows": ("max(len(rows), 1)", "max(len(labels), 1)"),
    "a sum, not a mean": (" / max(len(rows), 1)", ""),
    "without a label it is NaN": ("max(len(rows), 1)", "len(rows)"),
    "without a label there is no gradient": (
        "    return (log_sum",
        "    if len(rows) == 0:\n        return logits.new_zeros(())\n    return (log_sum",
    ),
    "label 0 is ignored, too": ("labels != -100", "labels > 0"),
    "PyTorch's own is called": (
        "largest + (rows - largest).exp().sum(-1, keepdim=True).log()",
        "rows.logsumexp(-1, keepdim=True)",
    ),
    "-100 is the last class": (
        "counted = labels != -100\n    rows, targets = logits[counted], labels[counted]",
        "rows, targets = logits, labels.where(labels >= 0, logits.shape[1] - 1)",
    ),
}
LIBRARY = [
    "torch.nn.functional.cross_entropy",
    "torch.nn.functional.log_softmax",
    "torch.log_softmax",
    "torch.logsumexp",
    "torch.Tensor.log_softmax",
    "torch.Tensor.logsumexp",
]
V = 3


@dataclass(frozen=True)
class Case:
    """A row of three logits for each label, normal, plus `shift`."""

    labels: tuple[int, ...] = (0,)
    shift: float = 0.0
    dtype: torch.dtype = torch.float64
    seed: int = 0

    def inputs(self):
        logits = normal(self.seed, (len(self.labels), V), self.dtype) * 3 + self.shift
        return logits, torch.tensor(self.labels, dtype=torch.int64)

    def tolerance(self):
        """Numbers near 1000 have four digits behind the point in float32."""
        return 1e-3 if self.shift and self.dtype == torch.float32 else 1e-5


CASES = st.builds(
    Case,
    labels=st.lists(st.sampled_from([0, 1, 2, -100]), max_size=5).map(tuple),
    shift=st.sampled_from([0.0, 1000.0, -1000.0]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    seed=st.integers(0, 99),
)
HARD = [
    Case((2, -100, 0, -100)),
    Case((-100, -100)),
    Case(()),
    Case((1, 0), shift=1000.0),
    Case((0,), dtype=torch.float32),
]


@contextmanager
def by_hand():
    """Refuse what PyTorch has for it."""

    def refuse(*_, **__):
        raise AssertionError("PyTorch's cross-entropy is called: form log-sum-exp by hand")

    with ExitStack() as stack:
        for name in LIBRARY:
            stack.enter_context(patch(name, refuse))
        yield


def value(answer, case):
    """The loss is the library's: a mean over the labels that are not -100, else 0."""
    logits, labels = case.inputs()
    with by_hand():
        got = answer.masked_cross_entropy(logits, labels)
    assert_close(got, cross_entropy(logits, labels), case.tolerance())


def gradient(answer, case):
    """The gradient of the logits is the library's, never NaN, and 0 where the label is -100."""
    logits, labels = case.inputs()
    logits.requires_grad_()
    (want,) = torch.autograd.grad(cross_entropy(logits, labels), logits)
    with by_hand():
        (got,) = torch.autograd.grad(answer.masked_cross_entropy(logits, labels), logits)
    assert_close(got, want, case.tolerance())


LAWS = [Law(value, CASES, HARD), Law(gradient, CASES, HARD)]
