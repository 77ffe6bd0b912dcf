"""Kernels behind the seam run checked too."""

from tests.helpers.kernels import examples, kernel_conditions

__all__ = ["examples", "kernel_conditions"]
