"""When to stop, and which epoch to keep.

After each epoch a model is scored on texts that it does not learn from. At some point the score
rises no more while the training loss still falls: the model learns its texts by heart. So

    keep the epoch with the best score so far
    stop as soon as `patience` epochs in a row have not been better than it

Better than the best so far, not than the epoch before: a score that falls and then climbs half of
the way back has won nothing. Of equal bests the first is kept. What was not trained has no score:
of `scores` look at nothing behind the epoch after which the run stops.

Arguments: scores, one or more finite numbers, what each epoch would score; more is better;
patience, 1 or more. The result is two numbers of epochs, counted from 1: the one that is kept, and
the one after which the run stops, which is the last if patience never runs out.
Source: Prechelt 1998 (Early stopping - but when?); minidistil/training/finetuning.py (finetune).
"""


def stop_early(scores: list[float], patience: int) -> tuple[int, int]:
    """The epoch that is kept, and the epoch after which the run stops."""
    kept = 1
    for epoch, score in enumerate(scores, 1):
        # answer
        if score > scores[kept - 1]:
            kept = epoch
        if epoch - kept >= patience:
            return kept, epoch
        # end
    return kept, len(scores)
