"""The gradient of the divergence, by hand.

For L = T^2 * KL(p || q), with p = softmax(t / T) and q = softmax(s / T) of one row, student s and
teacher t, only log q depends on s:

    d log q_i / d s_j = ((1 if i = j else 0) - q_j) / T

Put that into L = -T^2 * sum_i p_i log q_i + what does not depend on s. What comes out is as short
as the gradient of a cross-entropy. One T is left over, and at a high temperature q - p is about
1 / T of the difference of the logits: so the gradient neither vanishes nor grows as T rises. That
is what the T^2 is for.

Shapes: student, teacher (N, V), float32 or float64; the result is (N, V), the gradient by the
student's logits of the sum over all rows. A teacher's logit may be -inf. Do not call autograd.
Source: Hinton et al. 2015, arXiv 1503.02531, section 2.1; tutorial 11, section 3.
"""

from torch import Tensor


def divergence_backward(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """The gradient of `divergence` of 11a by the student's logits."""
    # answer
    q = (student / T).softmax(-1)
    p = (teacher / T).softmax(-1)
    return T * (q - p)
    # end
