"""How far the student is from its teacher.

With p = softmax(teacher / T) and q = softmax(student / T) of each row,

    loss = T^2 * sum over rows of KL(p || q)        KL(p || q) = sum_i p_i (log p_i - log q_i)

The temperature T brings out what the teacher finds unlikely, but possible; T^2 keeps the size of
the gradient, which shrinks as 1 / T^2. A sum and no mean: whoever adds up several batches divides
once, at the end.

The trap: a teacher may hold a word for impossible, with a logit of -inf. Then p_i is 0 and the term
is 0 log 0, which is 0 here; but 0 * -inf is NaN. (Logits of +-100 happen, too: the logarithm of a
softmax is then -inf where log_softmax is not.) The teacher is a constant: no gradient reaches it.

Shapes: student, teacher (N, V), float32 or float64; the result is (), of the same dtype, and 0
where N is 0. Do not call PyTorch's kl_div.
Source: Hinton et al. 2015, arXiv 1503.02531; minidistil/distillation/losses.py.
"""

from torch import Tensor


def divergence(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """T^2 * KL(teacher || student) of the softened rows, summed."""
    # answer
    log_q = (student / T).log_softmax(-1)
    log_p = (teacher.detach() / T).log_softmax(-1)
    p = log_p.exp()
    terms = (p * (log_p - log_q)).masked_fill(p == 0, 0.0)
    return T**2 * terms.sum()
    # end
