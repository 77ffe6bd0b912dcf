"""Laws of `stop_early(scores, patience)`: the first best of those that ran, and the end."""

from dataclasses import dataclass

from hypothesis import strategies as st

from minidistil.learn.laws import Law

HINTS = [
    "Epochs count from 1 and lists from 0: the score of the kept epoch is scores[kept - 1].",
    "epoch - kept is how many epochs have passed without a better one.",
    "A better score moves `kept` first. Only then ask whether patience has run out.",
]
WRONG = {
    "the last of equal bests is kept": ("score > scores[kept - 1]", "score >= scores[kept - 1]"),
    "compared with the epoch before": ("scores[kept - 1]", "scores[max(epoch - 2, 0)]"),
    "one epoch too many": ("epoch - kept >= patience", "epoch - kept > patience"),
    "one epoch too few": ("epoch - kept >= patience", "epoch - kept + 1 >= patience"),
    "the best of all epochs, trained or not": (
        "return kept, epoch",
        "return scores.index(max(scores)) + 1, epoch",
    ),
    "epochs count from 0": ("return kept, epoch", "return kept - 1, epoch - 1"),
    "the last epoch is kept": ("return kept, epoch", "return epoch, epoch"),
}


@dataclass(frozen=True)
class Case:
    """What each epoch would score, and how many without a better score end the run."""

    scores: tuple[float, ...] = (0.6, 0.5)
    patience: int = 1

    def want(self):
        for last in range(1, len(self.scores) + 1):
            ran = self.scores[:last]
            kept = ran.index(max(ran)) + 1
            if last - kept >= self.patience:
                break
        return kept, last


CASES = st.builds(
    Case,
    scores=st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.8]), min_size=1, max_size=8).map(tuple),
    patience=st.integers(1, 3),
)
HARD = [
    Case(),
    Case((0.5,)),
    Case((0.5, 0.6, 0.7)),
    Case((0.6, 0.6, 0.6, 0.6), 2),
    Case((0.8, 0.5, 0.6, 0.7), 2),
    Case((0.5, 0.7, 0.6, 0.8)),
    Case((0.5, 0.7, 0.6, 0.8), 2),
]


def kept(answer, case):
    """The epoch that is kept is the first of the best among those that ran."""
    got, want = answer.stop_early([*case.scores], case.patience)[0], case.want()[0]
    assert got == want, f"epoch {got} is kept, wanted is {want}"


def stops(answer, case):
    """The run stops once `patience` epochs in a row did not beat the best, or at the end."""
    got, want = answer.stop_early([*case.scores], case.patience)[1], case.want()[1]
    assert got == want, f"it stops after epoch {got}, wanted is {want}"


LAWS = [Law(kept, CASES, HARD), Law(stops, CASES, HARD)]
