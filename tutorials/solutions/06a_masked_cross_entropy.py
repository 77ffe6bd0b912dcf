"""Cross-entropy of the rows that have a label.

    loss = mean of log(sum_j exp(x_nj)) - x_ny      over the rows n whose label y is not -100

In masked language modelling some 15 % of the tokens are to be guessed; the label of all others is
-100, and they teach nothing. The mean is over the rows that count, else the loss would shrink with
their share.

Two traps. exp(89) is more than a float32 holds; as in 03a, the largest logit helps:

    log(sum_j exp(x_j)) = m + log(sum_j exp(x_j - m))        for any m

And in a batch without any label the mean is 0 / 0. It must be 0, with a gradient of 0.

Do not call F.cross_entropy, log_softmax or logsumexp.
Shapes: logits (N, V), float32 or float64; labels int64 (N,), below V or -100. N may be 0. The
result is a number (), in the dtype of the logits, through which autograd finds its way.
Source: Devlin et al. 2018, arXiv 1810.04805, section 3.1; minidistil/ops/layers.py.
"""

import torch


def masked_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the labels that are not -100; 0 where there are none."""
    # answer
    counted = labels != -100
    rows, targets = logits[counted], labels[counted]
    right = rows.gather(-1, targets[:, None])
    largest = rows.amax(-1, keepdim=True)
    log_sum = largest + (rows - largest).exp().sum(-1, keepdim=True).log()
    return (log_sum - right).sum() / max(len(rows), 1)
    # end
