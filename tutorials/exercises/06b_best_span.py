"""Laws of `best_span(start, end, in_context, max_length)`: the best of all pairs."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from minidistil.learn.laws import Law
from minidistil.pipelines.question_answering import best_spans

HINTS = [
    "Two nested loops will do. As a matrix: start[:, None] + end has a row for each first token.",
    "What is not allowed becomes -inf: the end before the start, too long, outside of the context.",
    "A loop that keeps only what is larger than the best so far keeps the first; so does argmax().",
]
WRONG = {
    "the end may come before the start": (".triu()", ""),
    "one token too long": ("max_length - 1", "max_length"),
    "the question may answer": (
        "torch.outer(in_context, in_context)",
        "torch.ones(len(start), len(start), dtype=torch.bool)",
    ),
    "only the start must lie in the context": (
        "torch.outer(in_context, in_context)",
        "in_context[:, None].repeat(1, len(start))",
    ),
    "what is not allowed counts 0": ("-torch.inf", "0.0"),
    "the best start, then the best end": (
        "return divmod(int(sums.argmax()), len(start))",
        "first = int(start.masked_fill(~in_context, -torch.inf).argmax())\n"
        "    return first, int(sums[first].argmax())",
    ),
    "start and end have changed places": ("start[:, None] + end", "start + end[:, None]"),
    "the last of several": (
        "int(sums.argmax())",
        "int((sums == sums.max()).flatten().nonzero()[-1])",
    ),
    "the shortest of several": (
        "divmod(int(sums.argmax()), len(start))",
        "min((sums == sums.max()).nonzero().tolist(), key=lambda span: span[1] - span[0])",
    ),
}


@dataclass(frozen=True)
class Case:
    """Two logits of each token; the context is tokens context[0] up to, not with, context[1]."""

    start: tuple[int, ...] = (0, 1)
    end: tuple[int, ...] = (1, 0)
    context: tuple[int, int] = (0, 2)
    max_length: int = 2

    def inputs(self):
        in_context = torch.zeros(len(self.start), dtype=torch.bool)
        in_context[slice(*self.context)] = True
        return torch.tensor(self.start).float(), torch.tensor(self.end).float(), in_context


def texts(length):
    """Of so many tokens."""
    logits = st.lists(st.integers(-3, 3), min_size=length, max_size=length).map(tuple)
    tokens = st.integers(0, length - 1)
    return st.builds(
        Case,
        start=logits,
        end=logits,
        context=st.tuples(tokens, tokens).map(lambda pair: (min(pair), max(pair) + 1)),
        max_length=st.integers(1, 4),
    )


CASES = st.integers(1, 6).flatmap(texts)
HARD = [
    Case(),
    Case((1, 0), (0, 5), max_length=1),
    Case((5, 0, 0), (0, 0, 5), context=(1, 2), max_length=3),
    Case((0, 0, 0), (0, 0, 5), context=(0, 2), max_length=3),
    Case((-1, -1), (-1, -1), context=(0, 1)),
    Case((0, 0), (0, 0)),
    Case((1, 1), (0, 1)),
]


def equals(answer, case):
    """It is what trying every allowed pair finds, the first of the best."""
    want, highest = None, -torch.inf
    for first in range(*case.context):
        for last in range(first, min(first + case.max_length, case.context[1])):
            total = case.start[first] + case.end[last]
            if total > highest:
                want, highest = (first, last), total
    got = tuple(map(int, answer.best_span(*case.inputs(), case.max_length)))
    assert got == want, f"it is {got}, wanted is {want}, with a sum of {highest}"


def as_good(answer, case):
    """Its sum is that of the best span which the library's pipeline finds."""
    start, end, in_context = case.inputs()
    first, last = answer.best_span(start, end, in_context, case.max_length)
    scores = torch.stack((start, end))
    ((_, _, want),) = best_spans(scores, in_context, case.max_length, 1)
    got = float(start[first] + end[last])
    assert got == want, f"tokens {first} to {last} have a sum of {got}, the best has {want}"


LAWS = [Law(as_good, CASES, HARD), Law(equals, CASES, HARD)]
