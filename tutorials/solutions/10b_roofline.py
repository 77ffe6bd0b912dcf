"""The roofline: which limit holds.

A GPU moves bytes and computes at the same time, so a kernel takes at least as long as the slower of
the two:

    F operations at `peak` operations a second        B bytes at `bandwidth` bytes a second

F / B is the arithmetic intensity of the kernel. At the ridge, an intensity that is the GPU's alone,
both take equally long. To the left of it memory is the limit: fewer bytes make the kernel faster,
and fewer operations do not. To the right it is the other way round. So before a kernel is made
faster, one has to know on which side it is. (An A100 has its ridge at 153 operations a byte in
half precision; a softmax has about one.)

The trap is the kernel that moves nothing, whose intensity is no number: B may be 0.

All arguments are numbers in plain units, not in tera or giga; peak and bandwidth are above 0.
Source: Williams, Waterman and Patterson 2009, "Roofline", doi 10.1145/1498765.1498785; the
tutorial 10 of this course, section 3.
"""


def least_time(F: float, B: float, peak: float, bandwidth: float) -> float:
    """The seconds that no kernel of F operations and B bytes can stay below."""
    # answer
    return max(F / peak, B / bandwidth)
    # end


def ridge(peak: float, bandwidth: float) -> float:
    """The intensity, operations a byte, at which neither waits for the other."""
    # answer
    return peak / bandwidth
    # end


def limit(F: float, B: float, peak: float, bandwidth: float) -> str:
    """What the kernel waits for: "memory" or "arithmetic"."""
    # answer
    return "memory" if B * ridge(peak, bandwidth) > F else "arithmetic"
    # end
