"""The best span of an answer.

    best = the (s, e) with the largest start_s + end_e,  s <= e < s + max_length

A head for question answering gives each token two logits: of being the first token of the answer,
and of being its last. The trap is to take the best start and the best end each for itself: the end
may come before the start, or a page behind it. So look at pairs.

Both tokens must lie in the context: the question and the special tokens have logits as well. Of
spans with the same sum take the one that starts first, and of those the one that ends first.

Shapes: start and end (S,), finite; in_context, boolean (S,), True for one stretch of tokens, which
has at least one; max_length >= 1, in tokens. The result is two ints.
Source: Devlin et al. 2018, arXiv 1810.04805, section 4.2; `best_spans` in
minidistil/pipelines/question_answering.py.
"""

import torch


def best_span(
    start: torch.Tensor, end: torch.Tensor, in_context: torch.Tensor, max_length: int
) -> tuple[int, int]:
    """First and last token of the best span in the context."""
    # answer
    allowed = torch.outer(in_context, in_context).triu().tril(max_length - 1)
    sums = (start[:, None] + end).masked_fill(~allowed, -torch.inf)
    return divmod(int(sums.argmax()), len(start))
    # end
