"""Laws of `cosine_sum` and `cosine_loss`: several batches are as one large batch."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.distillation import losses
from minidistil.learn.laws import Law, assert_close, normal

HINTS = [
    "student[mask] with a boolean mask (B, S) is (tokens, D): the real ones, in a row.",
    "torch.cosine_similarity(..., dim=-1) has one number a token; sum 1 minus it, and count.",
    "Add up the sums, add up the numbers, divide the one by the other: by 1 where it is 0.",
]
WRONG = {
    "a mean of means": (
        "sum(sums) / max(sum(numbers), 1)",
        "sum(s / max(n, 1) for s, n in zip(sums, numbers, strict=True)) / len(sums)",
    ),
    "padding is counted": ("losses.sum(), len(losses)", "losses.sum(), mask.numel()"),
    "padding is compared, too": (
        "h, k = student[mask], teacher.detach()[mask]",
        "h, k = student.flatten(0, 1), teacher.detach().flatten(0, 1)",
    ),
    "padding is multiplied by 0 afterwards": (
        "h, k = student[mask], teacher.detach()[mask]\n"
        "    losses = 1 - torch.cosine_similarity(h, k, dim=-1)",
        "losses = (1 - torch.cosine_similarity(student, teacher.detach(), dim=-1)) * mask",
    ),
    "a gradient reaches the teacher": ("teacher.detach()", "teacher"),
    "no token at all is NaN": ("max(sum(numbers), 1)", "sum(numbers)"),
    "the dot product, not the cosine": (
        "torch.cosine_similarity(h, k, dim=-1)",
        "(h * k).sum(-1)",
    ),
}


@dataclass(frozen=True)
class Case:
    """The lengths of the texts of each batch: normal hidden states, and padding of NaN."""

    lengths: tuple[tuple[int, ...], ...] = ((1,), (3,))
    seed: int = 0

    def batches(self):
        found = []
        for number, lengths in enumerate(self.lengths):
            S = max(lengths) + 1
            states = normal(self.seed + 1000 * number, (2, len(lengths), S, 3))
            mask = torch.arange(S) < torch.tensor(lengths)[:, None]
            student, teacher = states.masked_fill(~mask[..., None], torch.nan)
            found.append((student, teacher, mask))
        return found


LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)
CASES = st.builds(
    Case,
    lengths=st.lists(LENGTHS, min_size=1, max_size=3).map(tuple),
    seed=st.integers(0, 99),
)
HARD = [Case(), Case(((1, 3),)), Case(((0,),)), Case(((0, 0), (0,))), Case(((2,), (0,)))]


def one_batch(answer, case):
    """The sum and the number of a batch are those of its real tokens."""
    for student, teacher, mask in case.batches():
        total, number = answer.cosine_sum(student, teacher, mask)
        assert_close(total, losses.cosine(student[mask], teacher[mask]))
        assert number == int(mask.sum()), f"{number} tokens, wanted are {int(mask.sum())}"


def as_one(answer, case):
    """Several batches have the loss of one large batch, and 0 where no token is real."""
    batches = case.batches()
    assert_close(answer.cosine_loss(batches), large(batches))


def gradients(answer, case):
    """So do the gradients: padding has 0, and the teacher none."""
    batches = case.batches()
    students, teachers = ([batch[i].clone().requires_grad_() for batch in batches] for i in (0, 1))
    batches = [
        (student, teacher, mask)
        for student, teacher, (_, _, mask) in zip(students, teachers, batches, strict=True)
    ]
    wanted = torch.autograd.grad(large(batches), students)
    loss = answer.cosine_loss(batches)
    found = torch.autograd.grad(loss, [*students, *teachers], materialize_grads=True)
    for got, want in zip(found[: len(students)], wanted, strict=True):
        assert_close(got, want)
    for of_teacher in found[len(students) :]:
        assert not of_teacher.any(), "a gradient reaches the teacher"


def large(batches):
    """The loss of all real tokens in one batch."""
    student = torch.cat([student[mask] for student, _, mask in batches])
    teacher = torch.cat([teacher[mask] for _, teacher, mask in batches])
    return losses.cosine(student, teacher) / max(len(student), 1)


LAWS = [Law(one_batch, CASES, HARD), Law(as_one, CASES, HARD), Law(gradients, CASES, HARD)]
